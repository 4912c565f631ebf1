"""What a scope or a message looks like: its keys, which of them must be there, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_server._validation.checks import Check, Complaint
from asgi_server._validation.violations import Finding, Section

__all__ = [
    "Field",
    "Form",
    "Offer",
    "broken_rules",
    "by_name",
    "rules_of",
    "settled",
    "step_of",
]


@dataclass(frozen=True)
class Offer:
    """What the server has said that it understands.

    Attributes:
        version: Of the protocol's specification, `scope["asgi"]["spec_version"]`.
        extensions: Names, of `scope["extensions"]`.
    """

    version: tuple[int, ...]
    extensions: frozenset[str]


@dataclass(frozen=True)
class Field:
    """One key of a scope or message.

    Attributes:
        name: The key.
        check: Of its value.
        is_required: It must be there.
        since: The version that brought it; a server of an older one must not be sent it.
        extension: The extension without which it must not be sent.

    A value that says as much as none, such as an empty list, is no use of a newer key.
    """

    name: str
    check: Check
    is_required: bool = False
    since: tuple[int, ...] | None = None
    extension: str | None = None


@dataclass(frozen=True)
class Form:
    """A kind of scope or message.

    Attributes:
        name: In rules; of a message, its type.
        section: Where the specification describes it.
        fields: Its keys but `type`; others may be there (main, "Error Handling").
        together: What else must be true of it when its keys are right, by aspect.
        extension: The extension without which the message must not be sent.
        flag: The key that, being true, makes it another step of the conversation.
    """

    name: str
    section: Section
    fields: tuple[Field, ...] = ()
    together: Mapping[str, Complaint] = field(default_factory=dict)
    extension: str | None = None
    flag: str | None = None


def by_name(forms: Iterable[Form]) -> Mapping[str, Form]:
    """Return `forms` by their names."""
    return {form.name: form for form in forms}


def broken_rules(form: Form, content: Mapping[str, Any], offer: Offer) -> Iterator[Finding]:
    """Yield the rules of `form` that `content` breaks, with how."""
    is_right = True
    for part in form.fields:
        for aspect, fault in _faults_of_field(part, content, offer):
            is_right = False
            yield f"{form.name}/{part.name}/{aspect}", f"{part.name!r} {fault}"
    if not is_right:
        return
    for aspect, complaint in form.together.items():
        problem = complaint(content)
        if problem is not None:
            yield f"{form.name}/{aspect}", problem


def _faults_of_field(part: Field, content: Mapping[str, Any], offer: Offer) -> Iterator[Finding]:
    if part.name not in content:
        if part.is_required:
            yield "missing", "is missing"
        return
    value = content[part.name]
    yield from part.check.faults(value)
    if not value:
        return
    if part.since is not None and offer.version < part.since:
        yield "version", f"is new in version {_dotted(part.since)}: {_understands(offer)}"
    if part.extension is not None and part.extension not in offer.extensions:
        yield "extension", f"needs the extension {part.extension!r}, which the scope lacks"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _understands(offer: Offer) -> str:
    return f"the server understands {_dotted(offer.version)}"


def rules_of(form: Form) -> Iterator[str]:
    """Yield the names of all rules of `form`."""
    for part in form.fields:
        aspects = [*part.check.complaints]
        aspects += ["missing"] if part.is_required else []
        aspects += ["version"] if part.since is not None else []
        aspects += ["extension"] if part.extension is not None else []
        for aspect in aspects:
            yield f"{form.name}/{part.name}/{aspect}"
    for aspect in form.together:
        yield f"{form.name}/{aspect}"


def step_of(form: Form, message: Mapping[str, Any]) -> str:
    """Return what the tables of a conversation call `message`."""
    if form.flag is not None and message.get(form.flag):
        return f"{form.name}+{form.flag}"
    return form.name


def settled(form: Form, content: dict[str, Any]) -> dict[str, Any]:
    """Return `content` with lists in place of iterators that checks would use up.

    Without such iterators, that is `content` itself.
    """
    changed = {
        part.name: _without_iterators(content[part.name])
        for part in form.fields
        if part.check.uses_up and _has_iterator(content.get(part.name))
    }
    return {**content, **changed} if changed else content


def _has_iterator(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, Iterator) for item in value)
    return isinstance(value, Iterator)


def _without_iterators(value: Any) -> Any:
    return [list(item) if isinstance(item, Iterator) else item for item in value]
