"""The five packages as folders, and as what pyproject.toml says of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Package:
    folder: Path

    @property
    def distribution(self) -> str:
        return self.folder.name

    @property
    def import_name(self) -> str:
        return self.folder.name.replace("-", "_")

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.import_name

    @cached_property
    def project(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]

    @property
    def public_modules(self) -> list[str]:
        """The package itself and its modules without an underscore."""
        public = sorted(p.stem for p in self.source.glob("*.py") if not p.stem.startswith("_"))
        return [self.import_name, *(f"{self.import_name}.{name}" for name in public)]


PACKAGES = [Package(folder) for folder in sorted((ROOT / "packages").iterdir())]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session", params=PACKAGES, ids=lambda package: package.distribution)
def package(request: pytest.FixtureRequest) -> Package:
    return request.param


@pytest.fixture(scope="session")
def packages() -> list[Package]:
    return PACKAGES
