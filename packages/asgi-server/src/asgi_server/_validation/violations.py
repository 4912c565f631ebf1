"""What is reported: a rule, who broke it, and where the specification says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Party", "ProtocolViolationError", "Section", "violation"]

Party = Literal["application", "server"]

# Which aspect of a rule is broken, and how: a sentence without its subject.
Finding = tuple[str, str]


@dataclass(frozen=True)
class Section:
    """A section of the specification."""

    title: str
    url: str


class ProtocolViolationError(AssertionError):
    """A server or an application has broken a rule of ASGI.

    An `AssertionError`, as what `wsgiref.validate` raises.

    Attributes:
        rule: The rule's name: the message or scope, the key, and what about it is wrong, as in
            "http.response.start/headers/lowercase".
        at_fault: Who broke it, "server" or "application".
        section: Title of the section of the specification that has the rule.
        url: Where that section is.
        finding: What was found, in words.
    """

    def __init__(self, rule: str, at_fault: Party, section: str, url: str, finding: str) -> None:
        # All of them are `args`, with which copying and pickling make the error again.
        super().__init__(rule, at_fault, section, url, finding)
        self.rule = rule
        self.at_fault = at_fault
        self.section = section
        self.url = url
        self.finding = finding

    def __str__(self) -> str:
        return f'the {self.at_fault} {self.finding} [{self.rule}; see "{self.section}", {self.url}]'


def violation(rule: str, at_fault: Party, section: Section, finding: str) -> ProtocolViolationError:
    """Return the error that reports a finding."""
    return ProtocolViolationError(rule, at_fault, section.title, section.url, finding)
