"""The names of all rules that can be ignored.

The others hold that a scope and a message are dicts with a type, and that `receive`, `send` and
the application are awaitable callables: without those, there is nothing to apply a rule to.
"""

from __future__ import annotations

from asgi_server._validation.calls import ENDED, SHARED_STATE
from asgi_server._validation.conversation import rules_of_protocol
from asgi_server._validation.forms import rules_of
from asgi_server._validation.scopes import PROTOCOLS, SCOPES, TLS

__all__ = ["RULES"]

RULES: frozenset[str] = frozenset(
    [
        *(rule for form in (TLS, *SCOPES.values()) for rule in rules_of(form)),
        *(rule for protocol in PROTOCOLS.values() for rule in rules_of_protocol(protocol)),
        *(f"{way}/{aspect}" for way in ("receive", "send") for aspect in ("direction", "unknown")),
        *SHARED_STATE,
        ENDED,
    ]
)
