"""Empty environments, and what is installed into them by uv."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from releasing.commands import isolated_environment, run


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Make an empty one, of the Python that runs this."""
        created = cls(folder)
        created.uv("venv", "--quiet", "--python", sys.executable, folder)
        return created

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def uv(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run uv, without the caller's settings unless an environment is given."""
        settings = isolated_environment() if environment is None else environment
        return run(find_uv_bin(), *arguments, environment=settings)

    def install_from(self, wheels: Path, *requirements: str | Path) -> None:
        """Install from a folder of wheels and nowhere else."""
        self.uv(
            *("pip", "install", "--quiet", "--python", self.python),
            *("--no-index", "--find-links", wheels, *requirements),
        )

    def check(self) -> None:
        """Refuse what is missing or does not go together."""
        self.uv("pip", "check", "--quiet", "--python", self.python)

    def run(self, *arguments: str | Path) -> str:
        """Run its interpreter, which sees nothing but this environment."""
        return run(self.python, "-I", *arguments, environment=isolated_environment())
