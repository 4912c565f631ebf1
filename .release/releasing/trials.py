"""A package's own tests, from its sdist, with its siblings as they were released.

The lowest versions that its ranges allow and the newest ones are built from the tags of this
repository; where nothing of a sibling is released yet, it is built from the checkout.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from releasing.building import Built, build_releases, build_wheel, unpack
from releasing.commands import isolated_environment, run_shown
from releasing.environments import Environment
from releasing.git import Repository
from releasing.workspace import Package, Workspace

PYTEST = ("-m", "pytest", "--config-file=pytest.ini", "-q", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Trial:
    """A package with one choice of siblings."""

    siblings: tuple[str, ...]
    label: str

    def __str__(self) -> str:
        return f"{self.label}: {', '.join(self.siblings)}" if self.siblings else "no siblings"


@dataclass(frozen=True)
class Siblings:
    """The wheels that a package's siblings may be installed from."""

    wheels: Path
    # Those of which nothing is released, so that their wheel is that of the checkout.
    unreleased: tuple[str, ...]


def needed_siblings(workspace: Workspace, package: Package) -> list[Package]:
    """The packages that one needs, directly or not, to run or to be tested."""
    test_group = package.pyproject.get("dependency-groups", {}).get("test", [])
    names = {Requirement(text).name for text in test_group} | package.ranges.keys()
    found: list[Package] = []
    # Each comes after those that it needs, so that one pass from the end sees all.
    for sibling in reversed(workspace.packages):
        if sibling.name in names and sibling != package:
            found.append(sibling)
            names |= sibling.ranges.keys()
    return found


def collect(
    workspace: Workspace, repository: Repository, package: Package, folder: Path
) -> Siblings:
    """Build all releases of a package's siblings."""
    wheels, unreleased = folder / "wheels", []
    wheels.mkdir(parents=True, exist_ok=True)
    for sibling in needed_siblings(workspace, package):
        tags = list(repository.releases(sibling.name).values())
        if tags:
            build_releases(repository, sibling.name, tags, folder)
        else:
            build_wheel(sibling.folder, wheels, repository.time_of("HEAD"))
            unreleased.append(sibling.name)
    return Siblings(wheels, tuple(unreleased))


def trials(package: Package, built: Built, siblings: Siblings, folder: Path) -> list[Trial]:
    """The lowest and the newest siblings that go together, once where these are the same.

    Raises:
        CommandError: No versions of the siblings go together.
    """
    wanted = folder / "wanted.txt"
    test_group = package.pyproject.get("dependency-groups", {}).get("test", [])
    available = {parse_wheel_filename(path.name)[0] for path in siblings.wheels.glob("*.whl")}
    of_tests = [text for text in test_group if Requirement(text).name in available]
    wanted.write_text("\n".join([f"{package.name} @ {built.wheel.as_uri()}", *of_tests]))
    found: dict[tuple[str, ...], str] = {}
    for label, resolution in [("lowest siblings", "lowest"), ("newest siblings", "highest")]:
        pins = _resolve(wanted, siblings.wheels, resolution, package.name)
        found[pins] = "lowest and newest siblings" if pins in found else label
    return [Trial(pins, label) for pins, label in found.items()]


def _resolve(wanted: Path, wheels: Path, resolution: str, name: str) -> tuple[str, ...]:
    resolved = Environment(wanted.parent).uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-index"),
        *("--find-links", wheels, "--resolution", resolution, wanted),
    )
    pins = [line for line in resolved.splitlines() if "==" in line]
    return tuple(pin for pin in pins if canonicalize_name(Requirement(pin).name) != name)


def prepare(built: Built, siblings: Siblings, trial: Trial, folder: Path) -> Environment:
    """An environment with the built wheel, the siblings of a trial, and what the tests need."""
    environment = Environment.create(folder / "environment")
    environment.install_from(siblings.wheels, built.wheel, *trial.siblings)
    group = f"{unpack(built.sdist, folder / 'sdist') / 'pyproject.toml'}:test"
    # From the caller's index; the siblings are there already, so that none is looked for there.
    environment.uv(
        *("pip", "install", "--quiet", "--python", environment.python, "--group", group),
        environment={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"},
    )
    return environment


def run_trial(built: Built, siblings: Siblings, trial: Trial, folder: Path) -> None:
    """Run the tests of an sdist with one choice of siblings.

    Raises:
        CommandError: A test failed.
    """
    environment = prepare(built, siblings, trial, folder)
    unpacked = folder / "sdist" / built.sdist.name.removesuffix(".tar.gz")
    run_shown([environment.python, *PYTEST], cwd=unpacked, environment=isolated_environment())
