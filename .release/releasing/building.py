"""Builds sdists and wheels whose bytes depend on the commit alone."""

from __future__ import annotations

import hashlib
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from releasing.commands import at_once, isolated_environment, run
from releasing.errors import RefusalError
from releasing.git import Repository
from releasing.workspace import Package, Workspace


@dataclass(frozen=True)
class Built:
    """What is published of a package."""

    sdist: Path
    wheel: Path

    @property
    def files(self) -> list[Path]:
        """Both."""
        return [self.sdist, self.wheel]


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(package: Package, folder: Path, epoch: int) -> Built:
    """The sdist and the wheel of a package, built by its backend into a folder.

    Args:
        package: The package, in a checkout.
        folder: Where the files go.
        epoch: The time that is written into them, in seconds.
    """
    _backend(package.folder, folder, epoch, "sdist", "wheel")
    (sdist,) = folder.glob(f"{package.import_name}-{package.version()}.tar.gz")
    (wheel,) = folder.glob(f"{package.import_name}-{package.version()}-*.whl")
    return Built(sdist, wheel)


def build_wheel(source: Path, folder: Path, epoch: int) -> Path:
    """The wheel of a folder with a pyproject.toml, such as an sdist that was unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*.whl"))
    _backend(source, folder, epoch, "wheel")
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def _backend(source: Path, folder: Path, epoch: int, *targets: str) -> None:
    # The environment has the backend in the range that every package names; an isolated build
    # would download it each time.
    chosen = [argument for target in targets for argument in ("--target", target)]
    command = (sys.executable, "-m", "hatchling", "build", "--directory", str(folder))
    run(
        *command,
        *chosen,
        cwd=source,
        environment=isolated_environment() | {"SOURCE_DATE_EPOCH": str(epoch)},
    )


def build_twice(repository: Repository, revision: str, name: str, folder: Path) -> Built:
    """What a commit gives, built from two checkouts that share nothing but the commit.

    Raises:
        RefusalError: The two differ.
    """
    epoch = repository.time_of(revision)

    def attempt(number: int) -> Built:
        checkout = Workspace(repository.export(revision, folder / f"checkout-{number}"))
        return build(checkout.package(name), folder / f"dist-{number}", epoch)

    first, second = at_once(lambda: attempt(1), lambda: attempt(2))
    for one, other in zip(first.files, second.files, strict=True):
        if digest(one) != digest(other):
            raise RefusalError(f"{one.name} is not the same when it is built again: {one}, {other}")
    return first


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist, and return the folder in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def build_releases(repository: Repository, name: str, tags: list[str], folder: Path) -> list[Path]:
    """The wheels of released versions, built from their tags into a folder."""
    wheels = []
    for tag in tags:
        checkout = repository.export(tag, folder / tag, f"packages/{name}", ".gitignore")
        source = checkout / "packages" / name
        wheels.append(build_wheel(source, folder / "wheels", repository.time_of(tag)))
    return wheels
