"""What is published: the contents of the sdists and wheels, and what an install of one brings.

Everything is built once, into a temporary folder, by the build backend that the packages name;
nothing is downloaded. An installed wheel is tried by a script of smoke/, by an interpreter
that sees nothing but that environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

SMOKE = Path(__file__).parent / "smoke"
# Not those of asgiref, which lie deeper in the wheel of asgi-meta.
OWN_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")

# Settings of the caller's interpreter and installer must not reach what is started here.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
ENVIRONMENT |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path
    wheel_from_sdist: Path

    def sdist_names(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            files = [member.name for member in archive.getmembers() if member.isfile()]
            return {name.partition("/")[2] for name in files}

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (n for n in archive.namelist() if OWN_METADATA.fullmatch(n))
            return Parser().parsestr(archive.read(name).decode())


def build(package, folder: Path) -> Built:
    """The sdist and wheel of the tree in `folder`, and the wheel that the sdist gives."""
    backend = (sys.executable, "-m", "hatchling", "build")
    run(*backend, "-d", folder, "-t", "sdist", "-t", "wheel", cwd=package.folder)
    (sdist,) = folder.glob(f"{package.import_name}-*.tar.gz")
    (wheel,) = folder.glob(f"{package.import_name}-*.whl")
    unpacked = folder / "unpacked"
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    again = folder / "again"
    run(*backend, "-d", again, "-t", "wheel", cwd=unpacked / sdist.name.removesuffix(".tar.gz"))
    return Built(sdist, wheel, again / wheel.name)


# Ten builds, each in a process of its own, as many at once as there are processors.
@pytest.fixture(scope="session")
def all_built(packages, tmp_path_factory) -> dict[str, Built]:
    folder = tmp_path_factory.mktemp("dist")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = pool.map(lambda package: build(package, folder), packages)
        return {package.distribution: b for package, b in zip(packages, built, strict=True)}


@pytest.fixture(scope="session")
def built(package, all_built) -> Built:
    return all_built[package.distribution]


def pip(python: Path, *arguments: str | Path) -> None:
    run(sys.executable, "-m", "pip", "--python", python, *arguments)


def install(distribution: str, wheels: Path, environment: Path) -> Path:
    """The interpreter of a new environment with the distribution and what it depends on."""
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(environment)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip(python, "install", "--no-index", "--find-links", wheels, distribution)
    return python


# Five times two seconds, most of it pip starting, as many at once as there are processors.
@pytest.fixture(scope="session")
def all_installed(all_built, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("environments")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pythons = pool.map(
            lambda name: install(name, all_built[name].wheel.parent, folder / name), all_built
        )
        return dict(zip(all_built, pythons, strict=True))


@pytest.fixture(scope="session")
def installed_python(package, all_installed) -> Path:
    return all_installed[package.distribution]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sdist_has_the_licence_the_readme_the_changelog_and_the_typing_marker(package, built):
    expected = {"LICENSE", "README.md", "CHANGELOG.md", f"src/{package.import_name}/py.typed"}
    assert expected <= built.sdist_names()


def test_the_sdist_has_nothing_but_the_package_its_texts_and_its_tests(package, built, root):
    texts = {"LICENSE", "README.md", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", ".gitignore"}
    area = package.distribution.removeprefix("asgi-")
    folders = [f"tests/{area}", "tests/helpers", f"packages/{package.distribution}/examples"]
    if area == "meta":
        folders.append("tests/frameworks")
    tests = {"pytest.ini", "tests/conftest.py"} | {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    package_folder = f"src/{package.import_name}/"
    others = {n for n in built.sdist_names() if not n.startswith(package_folder)} - texts
    assert others == tests


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(package, built):
    of_package = {n for n in contents(built.wheel) if ".dist-info" not in n.partition("/")[0]}
    in_tree = {
        path.relative_to(package.source.parent).as_posix()
        for path in package.source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert of_package == in_tree


def test_the_wheel_is_pure_python(built):
    assert built.wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_declares_the_dependencies_of_the_project(package, built):
    declared = built.metadata().get_all("Requires-Dist") or []
    expected = package.project["dependencies"]
    assert {Requirement(r) for r in declared} == {Requirement(r) for r in expected}


def test_the_wheel_asks_for_python_3_11(built):
    assert SpecifierSet(built.metadata()["Requires-Python"]) == SpecifierSet(">=3.11")


def test_a_sibling_is_asked_for_from_a_version_up_to_the_next_major_one(package):
    for requirement in map(Requirement, package.project["dependencies"]):
        assert sorted(s.operator for s in requirement.specifier) == ["<", ">="], requirement


def test_every_sibling_has_a_version_that_is_asked_for(package, all_built):
    for requirement in map(Requirement, package.project["dependencies"]):
        version = all_built[requirement.name].metadata()["Version"]
        assert requirement.specifier.contains(version), requirement


def test_the_wheel_has_the_readme_and_the_licence(package, built):
    metadata = built.metadata()
    assert metadata.get_payload().strip() == (package.folder / "README.md").read_text().strip()
    assert any(name.endswith("licenses/LICENSE") for name in contents(built.wheel))


def test_the_sdist_gives_the_same_wheel_as_the_tree(built):
    assert contents(built.wheel_from_sdist) == contents(built.wheel)


LIST_DISTRIBUTIONS = """\
from importlib.metadata import distributions
print(*sorted(distribution.name for distribution in distributions()))
"""


def test_an_install_brings_what_is_declared_and_nothing_else(package, installed_python):
    brought = run(installed_python, "-I", "-c", LIST_DISTRIBUTIONS).stdout.split()
    declared = {Requirement(requirement).name for requirement in package.project["dependencies"]}
    assert brought == sorted({package.distribution, *declared})


# A second for each package: pip starts twice, here and in the environment.
def test_pip_finds_nothing_missing_or_in_conflict_after_an_install(installed_python):
    pip(installed_python, "check")


def test_what_is_installed_works_without_a_warning(package, installed_python):
    smoke = SMOKE / f"{package.import_name}.py"
    tried = run(installed_python, "-I", "-W", "error", smoke)
    assert tried.stderr == "", "a warning while a destructor or the exit ran"


def test_every_package_has_a_smoke_script(packages):
    scripts = {path.stem for path in SMOKE.glob("*.py")}
    assert scripts == {package.import_name for package in packages}
