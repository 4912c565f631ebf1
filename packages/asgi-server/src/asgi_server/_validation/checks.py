"""Checks of single values: of their types, and of what the specification says beyond that."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from asgi_server._validation.violations import Finding

__all__ = [
    "BOOLEAN",
    "BYTE_STRING",
    "BYTE_STRINGS",
    "HEADERS",
    "INTEGER",
    "NAMESPACE",
    "TEXT",
    "TEXTS",
    "Check",
    "Complaint",
    "is_integer",
    "must_be",
    "not_in_lower_case",
    "not_matching",
    "nullable",
    "outside",
    "pair_of",
    "pseudo_header",
    "refined",
    "shown",
]

# Says how a value is wrong, or None.
Complaint = Callable[[Any], str | None]


@dataclass(frozen=True)
class Check:
    """Says what is wrong with a value, by aspect, first things first.

    Attributes:
        complaints: What finds fault with each aspect. Those after "type" are asked only when
            that is right.
        accepts_none: None is fine as well.
        uses_up: It reads an iterator to its end.
    """

    complaints: dict[str, Complaint]
    accepts_none: bool = False
    uses_up: bool = False

    def faults(self, value: Any) -> Iterator[Finding]:
        """Yield the faults of `value`; no more than its type where that is wrong."""
        if value is None and self.accepts_none:
            return
        for aspect, complaint in self.complaints.items():
            fault = complaint(value)
            if fault is not None:
                yield aspect, fault
                if aspect == "type":
                    return


def nullable(check: Check) -> Check:
    """Return `check` for values that may also be None."""
    return replace(check, accepts_none=True)


def refined(check: Check, **complaints: Complaint) -> Check:
    """Return `check` with more aspects, which are looked at when the first are fine."""
    return replace(check, complaints={**check.complaints, **complaints})


def must_be(words: str, holds: Callable[[Any], bool], *, uses_up: bool = False) -> Check:
    """Return a check with the one aspect "type"; `words` complete the sentence."""

    def complaint(value: Any) -> str | None:
        return None if holds(value) else f"must be {words}, not {shown(value)}"

    return Check({"type": complaint}, uses_up=uses_up)


def shown(value: Any) -> str:
    """Return a short representation: a body may be large."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def is_integer(value: Any) -> bool:
    """Return True for an int that is no bool: the specification tells the two apart."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_iterable(value: Any) -> bool:
    # A string is an iterable of strings as well, which is never what is meant.
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))


def _is_iterable_of(kind: type, value: Any) -> bool:
    return _is_iterable(value) and all(isinstance(item, kind) for item in value)


def _is_pair(item: Any) -> bool:
    return _is_iterable(item) and len([*item]) == 2


def _are_headers(value: Any) -> bool:
    return _is_iterable(value) and all(
        _is_pair(item) and _is_iterable_of(bytes, item) for item in value
    )


def _is_namespace(value: Any) -> bool:
    return isinstance(value, dict) and _is_iterable_of(str, value)


TEXT = must_be("a Unicode string", lambda value: isinstance(value, str))
BYTE_STRING = must_be("a byte string", lambda value: isinstance(value, bytes))
BOOLEAN = must_be("True or False", lambda value: isinstance(value, bool))
INTEGER = must_be("an int", is_integer)
TEXTS = must_be(
    "an iterable of Unicode strings", lambda value: _is_iterable_of(str, value), uses_up=True
)
BYTE_STRINGS = must_be(
    "an iterable of byte strings", lambda value: _is_iterable_of(bytes, value), uses_up=True
)
HEADERS = must_be("an iterable of [name, value] pairs of byte strings", _are_headers, uses_up=True)
NAMESPACE = must_be("a dict with Unicode strings as keys", _is_namespace)


def pair_of(words: str, first: type, second: Callable[[Any], bool]) -> Check:
    """Return a check of two-item iterables; `words` say what the two are."""

    def holds(value: Any) -> bool:
        if not _is_pair(value):
            return False
        head, tail = value
        return isinstance(head, first) and second(tail)

    return must_be(f"a two-item iterable of {words}", holds, uses_up=True)


def pseudo_header(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Complain of pseudo headers, which HTTP/2 and HTTP/3 have."""
    names = [name for name, _ in headers if name.startswith(b":")]
    return f"must not have pseudo headers, such as {names[0]!r}" if names else None


def not_in_lower_case(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Complain of header names that are not in lower case."""
    names = [name for name, _ in headers if name != name.lower()]
    return f"must have names in lower case, not {names[0]!r}" if names else None


def not_matching(pattern: str, words: str) -> Complaint:
    """Complain of text that `pattern` does not match as a whole; `words` say what it should be."""
    compiled = re.compile(pattern)

    def complaint(value: str) -> str | None:
        return None if compiled.fullmatch(value) else f"must be {words}, not {value!r}"

    return complaint


def outside(lowest: int, highest: int, words: str) -> Complaint:
    """Complain of numbers below `lowest` or above `highest`."""

    def complaint(value: int) -> str | None:
        return None if lowest <= value <= highest else f"must be {words}, not {value}"

    return complaint
