"""Ranges between siblings: which versions of one the others put up with."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from releasing.git import Repository
from releasing.workspace import Package, Workspace, ranges_of


@dataclass(frozen=True)
class Range:
    """What one package asks of another."""

    package: str
    sibling: str
    versions: SpecifierSet

    def __str__(self) -> str:
        # As people write it, from the lower bound on.
        bounds = ",".join(sorted(map(str, self.versions), reverse=True))
        return f"{self.package} asks for {self.sibling}{bounds}"


def declared(workspace: Workspace, sibling: str) -> list[Range]:
    """What the packages of a checkout ask of one of them."""
    return [
        Range(package.name, sibling, package.ranges[sibling])
        for package in workspace.packages
        if sibling in package.ranges
    ]


def released(workspace: Workspace, repository: Repository, sibling: str) -> list[Range]:
    """What the last releases of the packages ask of one of them."""
    found = []
    for package in workspace.packages:
        if last := repository.last_release(package.name):
            ranges = ranges_of(repository.file(last[1], f"packages/{package.name}/pyproject.toml"))
            if sibling in ranges:
                found.append(Range(package.name, sibling, ranges[sibling]))
    return found


def too_narrow(ranges: list[Range], version: Version) -> list[Range]:
    """Those that a version is outside of."""
    return [r for r in ranges if version not in r.versions]


def without_release(package: Package, repository: Repository) -> list[Range]:
    """Those of a package's own ranges that no released version is in.

    An install of the package would find nothing that fits.
    """
    return [
        Range(package.name, sibling, versions)
        for sibling, versions in package.ranges.items()
        if not any(version in versions for version in repository.releases(sibling))
    ]
