"""News fragments: what a change means for users, until a release makes a changelog of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from releasing.errors import RefusalError
from releasing.versions import Level
from releasing.workspace import Package

# What a fragment of a type asks of the version that releases it. The types and their headings
# are in .config/towncrier.toml; a test holds that they are the same.
DEMANDS = {
    "removal": Level.MAJOR,
    "deprecation": Level.MINOR,
    "feature": Level.MINOR,
    "performance": Level.PATCH,
    "bugfix": Level.PATCH,
    "doc": Level.PATCH,
    "misc": Level.PATCH,
}

# An issue, or `+` and words where there is none; the type; a number where there are several.
_NAME = re.compile(r"(?P<issue>\+[\w-]*|[A-Z]*\d+)\.(?P<type>[^.]+)(?:\.\d+)?\.md")
_ISSUE = re.compile(r"[A-Z]*\d+")
_KEEPS_THE_FOLDER = ".gitkeep"
_WORDS_IN_A_NAME = 5


@dataclass(frozen=True)
class Fragment:
    """A file of a package's changelog.d/."""

    path: Path
    type: str

    @property
    def demand(self) -> Level:
        """What it asks of the version that releases it."""
        return DEMANDS[self.type]


def check_type(kind: str) -> None:
    """Refuse a type that the changelog has no heading for.

    Raises:
        RefusalError: It has none.
    """
    if kind not in DEMANDS:
        raise RefusalError(f"{kind!r} is no type of news: give one of {', '.join(DEMANDS)}")


def parse(path: Path) -> Fragment:
    """The fragment of a file name.

    Raises:
        RefusalError: The name is not one of a fragment, or of an unknown type.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise RefusalError(f"{path} is not named <issue>.<type>.md: `hatch run news` names it")
    try:
        check_type(match["type"])
    except RefusalError as error:
        raise RefusalError(f"{path}: {error}") from None
    return Fragment(path, match["type"])


def read(package: Package) -> list[Fragment]:
    """The fragments of what is not released yet.

    Raises:
        RefusalError: A name is wrong, or a file says nothing.
    """
    if not package.news.is_dir():
        raise RefusalError(f"{package.news} is missing: its {_KEEPS_THE_FOLDER} keeps it")
    paths = [p for p in sorted(package.news.iterdir()) if p.name != _KEEPS_THE_FOLDER]
    fragments = [parse(path) for path in paths]
    for path in paths:
        if not _text_of(path).strip():
            raise RefusalError(f"{path} is empty: say what changed for users")
    return fragments


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RefusalError(f"{path} is not UTF-8: {error}") from None


def write(package: Package, kind: str, text: str, issue: str | None = None) -> Path:
    """Write a fragment, and return its path.

    Args:
        package: What it is news of.
        kind: One of the types of `DEMANDS`.
        text: What changed for users, in Markdown.
        issue: The number of the issue, if there is one.

    Raises:
        RefusalError: The type is unknown, the text empty, or the issue not a number.
    """
    check_type(kind)
    if not text.strip():
        raise RefusalError("the text is empty: say what changed for users")
    if issue is not None and not _ISSUE.fullmatch(issue):
        raise RefusalError(f"{issue!r} is no issue: give a number such as 12")
    stem = f"{issue or _name_from(text)}.{kind}"
    number = 0
    while True:
        path = package.news / (f"{stem}.{number}.md" if number else f"{stem}.md")
        number += 1
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text.strip() + "\n")
        except FileExistsError:
            continue
        return path


def _name_from(text: str) -> str:
    """`+` and the first words, by which towncrier knows that there is no issue."""
    words = re.findall(r"[a-z0-9]+", text.lower())[:_WORDS_IN_A_NAME]
    return "+" + "-".join(words or ["news"])
