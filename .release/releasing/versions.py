"""Which version may follow which: nothing but arithmetic.

A release that takes something away is a major one, one that adds something at least a minor one.
Before 1.0 there is no major release to wait for: what takes something away is a minor one.
"""

from __future__ import annotations

import re
from enum import IntEnum

from packaging.version import Version

from releasing.errors import RefusalError

NOTHING_RELEASED = Version("0.0.0")

_THREE_NUMBERS = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Level(IntEnum):
    """How much a release changes."""

    PATCH = 0
    MINOR = 1
    MAJOR = 2


def bumped(version: Version, level: Level) -> Version:
    """The next version of a level."""
    match level:
        case Level.MAJOR:
            return Version(f"{version.major + 1}.0.0")
        case Level.MINOR:
            return Version(f"{version.major}.{version.minor + 1}.0")
        case Level.PATCH:
            return Version(f"{version.major}.{version.minor}.{version.micro + 1}")


def smallest(last: Version, demanded: Level) -> Version:
    """The smallest version that may follow `last` with changes of a level."""
    if last.major == 0:
        demanded = min(demanded, Level.MINOR)
    return bumped(last, demanded)


def requested(text: str, last: Version) -> Version:
    """The version that `patch`, `minor`, `major` or `X.Y.Z` stands for.

    Raises:
        RefusalError: It is none of these, or not greater than `last`.
    """
    if text.upper() in Level.__members__:
        return bumped(last, Level[text.upper()])
    if not _THREE_NUMBERS.fullmatch(text):
        raise RefusalError(
            f"{text!r} is no version: give patch, minor, major, or three numbers such as 1.4.0"
        )
    version = Version(text)
    if version <= last:
        raise RefusalError(f"{version} is not greater than {last}, which is released")
    return version
