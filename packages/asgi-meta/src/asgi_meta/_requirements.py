"""Whether an installed version is within a declared range: pure, and only as far as it is sure.

What the five packages declare are ranges of plain versions. Anything else (a marker, an extra, a
URL, `~=`, a pre-release) is answered by `None`, for "unknown", rather than by a guess at the whole
of https://packaging.python.org/en/latest/specifications/version-specifiers/.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# Metadata of older tools has the range in parentheses.
_REQUIREMENT = re.compile(rf"({_NAME})\s*(?:\(([^()]*)\)|([^()]*))")
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*(\S+)")
# A local version, after a plus sign, is one of the version before it.
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:\+[a-z0-9.]+)?", re.IGNORECASE)
_HOLDS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def project_of(requirement: str) -> str:
    """The name that a requirement begins with, as `pip list` has it, in lower case."""
    match = re.match(_NAME, requirement.strip())
    return "" if match is None else re.sub(r"[-_.]+", "-", match[0]).lower()


def satisfies(version: str, requirement: str) -> bool | None:
    """Whether a version is what a requirement such as "asgi-sync>=0.1,<1" asks for.

    None where this is not certain.
    """
    match = _REQUIREMENT.fullmatch(requirement.strip())
    return None if match is None else is_within(version, match[2] or match[3] or "")


def is_within(version: str, version_range: str) -> bool | None:
    """Whether a version is in a range such as ">=0.1,<1"; None where this is not certain."""
    clauses = [clause.strip() for clause in version_range.split(",") if clause.strip()]
    return _all(_holds(version, clause) for clause in clauses)


def _holds(version: str, clause: str) -> bool | None:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return None
    ours, theirs = _numbers(version), _numbers(match[2])
    if ours is None or theirs is None:
        return None
    return _HOLDS[match[1]](ours, theirs)


def _numbers(version: str) -> tuple[int, ...] | None:
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    # 1.0 and 1 are the same version.
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _all(answers: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    known = list(answers)
    if False in known:
        return False
    return None if None in known else True
