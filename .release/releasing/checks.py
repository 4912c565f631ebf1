"""What an sdist and a wheel must be before they are published."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

from releasing.building import Built, build_wheel, digest, unpack
from releasing.commands import at_once, isolated_environment, run
from releasing.errors import RefusalError
from releasing.workspace import Package

_TEXTS = {"LICENSE", "README.md", "CHANGELOG.md"}
_OF_THE_BACKEND = {"PKG-INFO", "pyproject.toml", ".gitignore"}


def check_metadata(built: Built) -> None:
    """What package indexes and installers ask of the files: twine, check-wheel-contents.

    Raises:
        CommandError: One of them finds something.
    """
    module, settings = (sys.executable, "-m"), isolated_environment()
    at_once(
        lambda: run(*module, "twine", "check", "--strict", *built.files, environment=settings),
        lambda: run(*module, "check_wheel_contents", built.wheel, environment=settings),
    )


def check_contents(package: Package, built: Built) -> None:
    """Only files of the package, and all that belong to it.

    Raises:
        RefusalError: A file of others is in it, or one of its own is missing.
    """
    wheel, sdist = wheel_names(built.wheel), sdist_names(built.sdist)
    _refuse_missing(built.wheel, {f"{package.import_name}/py.typed"} - wheel)
    _refuse_missing(built.sdist, ({f"src/{package.import_name}/py.typed"} | _TEXTS) - sdist)
    _refuse_missing(built.sdist, {"tests/conftest.py", "pytest.ini"} - sdist)
    if not any(name.startswith(f"tests/{package.tests}/") for name in sdist):
        _refuse_missing(built.sdist, {f"tests/{package.tests}/"})
    _refuse_others(built.wheel, {n for n in wheel if not _is_own_in_wheel(n, package)})
    _refuse_others(built.sdist, {n for n in sdist if not _is_own_in_sdist(n, package)})


def _is_own_in_wheel(name: str, package: Package) -> bool:
    return name.startswith((f"{package.import_name}/", f"{package.import_name}-"))


def _is_own_in_sdist(name: str, package: Package) -> bool:
    if name.startswith("tests/"):
        # The rest is shared by all.
        siblings = {Package(folder).tests for folder in package.folder.parent.iterdir()}
        return name.split("/")[1] not in siblings - {package.tests}
    folders = (f"src/{package.import_name}/", f"packages/{package.name}/examples/")
    return name.startswith(folders) or name in {*_TEXTS, *_OF_THE_BACKEND, "pytest.ini"}


def _refuse_missing(path: Path, names: set[str]) -> None:
    if names:
        raise RefusalError(f"{path.name} lacks {', '.join(sorted(names))}")


def _refuse_others(path: Path, names: set[str]) -> None:
    if names:
        raise RefusalError(f"{path.name} has files of others: {', '.join(sorted(names))}")


def check_wheel_of_sdist(built: Built, folder: Path, epoch: int) -> None:
    """The sdist gives the same wheel, byte by byte.

    Raises:
        RefusalError: It gives another.
    """
    again = build_wheel(unpack(built.sdist, folder), folder / "wheel", epoch)
    if digest(again) != digest(built.wheel):
        raise RefusalError(f"{built.sdist.name} gives another wheel than the commit: {again}")


def wheel_names(wheel: Path) -> set[str]:
    """The names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sdist_names(sdist: Path) -> set[str]:
    """The names of the files in an sdist, below its one folder."""
    with tarfile.open(sdist) as archive:
        members = [member.name for member in archive.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in members}
