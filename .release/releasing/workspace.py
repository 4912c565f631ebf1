"""The packages of a checkout, as folders and as what their pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from releasing.errors import RefusalError

_VERSION_LINE = re.compile(r'^__version__ = "(?P<version>[^"]*)"$', re.MULTILINE)


def ranges_of(pyproject: str) -> dict[str, SpecifierSet]:
    """What a pyproject.toml asks for at run time: names and versions."""
    requirements = tomllib.loads(pyproject)["project"]["dependencies"]
    return {r.name: r.specifier for r in map(Requirement, requirements)}


@dataclass(frozen=True)
class Package:
    """A folder of packages/."""

    folder: Path

    @property
    def name(self) -> str:
        """The name to install it by: asgi-sync."""
        return self.folder.name

    @property
    def import_name(self) -> str:
        """The name to import it by: asgi_sync."""
        return self.name.replace("-", "_")

    @property
    def tests(self) -> str:
        """The folder of its tests in tests/: sync."""
        return self.name.removeprefix("asgi-")

    @property
    def about(self) -> Path:
        """The file that holds its version."""
        return self.folder / "src" / self.import_name / "__about__.py"

    @property
    def news(self) -> Path:
        """The folder of its news fragments."""
        return self.folder / "changelog.d"

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """What its pyproject.toml says."""
        return tomllib.loads(self._pyproject_text())

    @cached_property
    def ranges(self) -> dict[str, SpecifierSet]:
        """The siblings that it needs, and the versions of them that will do."""
        return ranges_of(self._pyproject_text())

    def _pyproject_text(self) -> str:
        return (self.folder / "pyproject.toml").read_text(encoding="utf-8")

    def version(self) -> Version:
        """The version in its `__about__.py`."""
        return Version(self._version_line()["version"])

    def released_by_changelog(self) -> bool:
        """Whether its changelog has the version in its `__about__.py`."""
        changelog = (self.folder / "CHANGELOG.md").read_text(encoding="utf-8")
        return f"\n## {self.version()} (" in changelog

    def set_version(self, version: Version) -> None:
        """Write a version into its `__about__.py`."""
        line = self._version_line()
        text = (
            line.string[: line.start()] + f'__version__ = "{version}"' + line.string[line.end() :]
        )
        self.about.write_text(text, encoding="utf-8")

    def _version_line(self) -> re.Match[str]:
        lines = list(_VERSION_LINE.finditer(self.about.read_text(encoding="utf-8")))
        if len(lines) != 1:
            raise RefusalError(f'{self.about} needs one line `__version__ = "X.Y.Z"`')
        return lines[0]


@dataclass(frozen=True)
class Workspace:
    """A checkout of the repository."""

    root: Path

    @cached_property
    def packages(self) -> list[Package]:
        """All packages, each after those that it needs."""
        folders = sorted(path.parent for path in self.root.glob("packages/*/pyproject.toml"))
        waiting = [Package(folder) for folder in folders]
        ordered: list[Package] = []
        while waiting:
            missing = {package.name for package in waiting}
            ready = [package for package in waiting if not missing & package.ranges.keys()]
            if not ready:
                raise RefusalError(f"these packages need each other: {', '.join(sorted(missing))}")
            ordered += ready
            waiting = [package for package in waiting if package not in ready]
        return ordered

    def package(self, name: str) -> Package:
        """The package of a name.

        Raises:
            RefusalError: There is none.
        """
        for package in self.packages:
            if package.name == name:
                return package
        known = ", ".join(package.name for package in self.packages)
        raise RefusalError(f"there is no package {name!r}: give one of {known}")
