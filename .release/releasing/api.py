"""What a release does to the public names and signatures, found by reading the sources.

Public is what a module without an underscore lists in `__all__`; nothing is imported or run.
https://mkdocstrings.github.io/griffe/guide/users/checking/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import griffe
from rich.text import Text

from releasing.versions import Level

_NOT_OF_SIGNATURES = {
    # Names are compared here, under which users know them, not where they are defined.
    griffe.BreakageKind.OBJECT_REMOVED,
    # Such as that of `__version__`.
    griffe.BreakageKind.ATTRIBUTE_CHANGED_VALUE,
}


@dataclass(frozen=True)
class ApiChange:
    """One change that a program which uses the package may notice."""

    text: str
    demand: Level


def changes(import_name: str, before: list[Path], after: list[Path]) -> list[ApiChange]:
    """How the public names and signatures of a package differ between two states.

    Args:
        import_name: The package.
        before: The folder of its sources as they were, and those of its siblings as they are:
            what a sibling changes is a matter of the sibling's version.
        after: The folders of all sources as they are.
    """
    old, new = _load(import_name, before), _load(import_name, after)
    had, has = set(_public_names(old)), set(_public_names(new))
    removed = [ApiChange(f"{name}: no longer public", Level.MAJOR) for name in sorted(had - has)]
    changed = [
        ApiChange(_described(breakage), Level.MAJOR)
        for breakage in griffe.find_breaking_changes(old, new)
        if breakage.kind not in _NOT_OF_SIGNATURES
    ]
    added = [ApiChange(f"{name}: new", Level.MINOR) for name in sorted(has - had)]
    return [*removed, *changed, *added]


def _load(import_name: str, folders: list[Path]) -> griffe.Module:
    package = griffe.load(
        import_name,
        search_paths=folders,
        # Or an installed package of the name would be found where the folders have none.
        allow_inspection=False,
        resolve_aliases=True,
        resolve_external=True,
    )
    assert isinstance(package, griffe.Module)
    return package


def _described(breakage: griffe.Breakage) -> str:
    line = breakage.explain(griffe.ExplanationStyle.ONE_LINE)
    # It begins with the file, which is a temporary one, and the line.
    return f"{breakage.obj.module.path}: {Text.from_ansi(line).plain.partition(': ')[2]}"


def _public_names(module: griffe.Module) -> Iterator[str]:
    """What `__all__` lists, and the public members of the classes among it."""
    for name in map(str, module.exports or ()):
        yield f"{module.path}.{name}"
        yield from (f"{module.path}.{name}.{m}" for m in _public_members(module.members.get(name)))
    for submodule in module.modules.values():
        if not submodule.name.startswith("_"):
            yield from _public_names(submodule)


def _public_members(member: griffe.Object | griffe.Alias | None) -> list[str]:
    try:
        if member is None or not member.is_class:
            return []
        return [name for name in member.all_members if not name.startswith("_")]
    except griffe.AliasResolutionError:
        # It comes from the standard library, whose versions are not ours.
        return []
