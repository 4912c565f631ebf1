"""Tests in sdists, and the siblings that they are run with."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from releasing import trials
from releasing.building import Built, build, unpack
from releasing.workspace import Package, Workspace

# A wheel and an sdist are built, and pytest imports all that its tests need: on a new machine,
# where nothing of it was ever read or compiled, more than the usual minute.
pytestmark = pytest.mark.timeout(300)

PACKAGES = {package.name: package for package in Workspace(Path(__file__).parents[2]).packages}

# Tests are left out where these are missing.
OPTIONAL = {"gevent", "uvloop"}


@pytest.fixture(params=PACKAGES.values(), ids=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return request.param


def run_own_tests(package: Package, folder: Path, *arguments: str) -> str:
    """Run pytest in an unpacked sdist, with the built wheel before what is installed."""
    built = build(package, folder / "dist", epoch=0)
    with zipfile.ZipFile(built.wheel) as wheel:
        wheel.extractall(folder / "installed")
    code = f"import {package.import_name} as p; assert p.__file__.startswith({str(folder)!r})"
    unpacked = unpack(built.sdist, folder)
    environment = {**os.environ, "PYTHONPATH": str(folder / "installed"), "PYTEST_ADDOPTS": ""}
    for command in (["-c", code], ["-m", "pytest", "-p", "no:cacheprovider", *arguments]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=unpacked,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["asgi-server", "asgi-meta"])
def test_pytest_alone_collects_all_tests_of_an_sdist(tmp_path, name):
    # They are run at the release of the package.
    printed = run_own_tests(PACKAGES[name], tmp_path, "--collect-only", "-q")
    assert re.search(r"^\d{3,} tests collected", printed, re.MULTILINE)


def test_tests_in_an_sdist_find_their_helpers(tmp_path):
    printed = run_own_tests(PACKAGES["asgi-local"], tmp_path, "tests/local/test_tasks.py")
    assert re.search(r"\d+ passed", printed)


def bounds(requirements: list[str]) -> set[tuple[str, str]]:
    return {(r.name, str(r.specifier)) for r in map(Requirement, requirements)}


def test_what_a_package_is_tested_with_is_what_all_are_tested_with(package):
    environments = tomllib.loads((package.folder.parents[1] / "hatch.toml").read_text())["envs"]
    siblings = {(name, "") for name in PACKAGES}
    needed = bounds(package.pyproject["dependency-groups"]["test"])
    assert needed - siblings <= bounds(environments["hatch-test"]["dependencies"])


def imported(path: Path) -> set[str]:
    """The names of what a module imports, from the string literals in it, too.

    Some tests are programs in strings, which run in a child process.
    """
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            found += [f"helpers.{alias.name}" for alias in node.names]
    return set(found)


def needed_by_tests(package: Package) -> set[str]:
    """The top-level names that a package's tests, and the helpers that they use, import."""
    tests = package.folder.parents[1] / "tests"
    waiting = [tests / "conftest.py", *sorted((tests / package.tests).rglob("*.py"))]
    seen, names = set(waiting), set()
    while waiting:
        for name in imported(waiting.pop()):
            top, _, rest = name.partition(".")
            helper = tests / "helpers" / f"{rest}.py"
            if top == "helpers" and helper.is_file() and helper not in seen:
                seen.add(helper)
                waiting.append(helper)
            names.add(top)
    examples = {path.name for path in package.folder.glob("examples/*")}
    return names - {"helpers", "tests"} - examples - sys.stdlib_module_names


def test_the_test_group_names_all_that_the_tests_import(package):
    providers = importlib.metadata.packages_distributions()
    group = {Requirement(text).name for text in package.pyproject["dependency-groups"]["test"]}
    declared = group | package.ranges.keys() | {package.name} | OPTIONAL
    missing = {
        name
        for name in needed_by_tests(package)
        if not declared
        & {provider.lower() for provider in providers.get(name, [name.replace("_", "-")])}
    }
    assert not missing


@pytest.fixture
def released_twice(monorepo):
    """asgi-one is released as 1.0.0, 1.1.0 and 2.0.0; asgi-two takes 1."""
    for version in ("1.1.0", "2.0.0"):
        about = "packages/asgi-one/src/asgi_one/__about__.py"
        monorepo.write(about, f'"""The version."""\n\n__version__ = "{version}"\n')
        monorepo.commit(version)
        monorepo.git("tag", f"asgi-one-v{version}")
    return monorepo


def chosen(monorepo, folder: Path) -> list[str]:
    package = monorepo.workspace.package("asgi-two")
    siblings = trials.collect(monorepo.workspace, monorepo.repository, package, folder)
    built: Built = build(package, folder / "dist", epoch=0)
    return [str(trial) for trial in trials.trials(package, built, siblings, folder)]


def test_the_lowest_and_the_newest_sibling_that_the_range_has_are_chosen(released_twice, tmp_path):
    assert chosen(released_twice, tmp_path) == [
        "lowest siblings: asgi-one==1.0.0",
        "newest siblings: asgi-one==1.1.0",
    ]


def test_a_sibling_with_one_release_is_tried_once(monorepo, tmp_path):
    assert chosen(monorepo, tmp_path) == ["lowest and newest siblings: asgi-one==1.0.0"]


def test_a_sibling_without_release_is_that_of_the_checkout(monorepo, tmp_path):
    monorepo.git("tag", "--delete", "asgi-one-v1.0.0")
    package = monorepo.workspace.package("asgi-two")
    siblings = trials.collect(monorepo.workspace, monorepo.repository, package, tmp_path)
    assert siblings.unreleased == ("asgi-one",)
    assert [path.name for path in siblings.wheels.iterdir()] == ["asgi_one-1.0.0-py3-none-any.whl"]


def test_a_sibling_from_a_tag_has_the_source_of_that_tag(released_twice, tmp_path):
    package = released_twice.workspace.package("asgi-two")
    siblings = trials.collect(
        released_twice.workspace, released_twice.repository, package, tmp_path
    )
    with zipfile.ZipFile(siblings.wheels / "asgi_one-1.1.0-py3-none-any.whl") as wheel:
        assert '"1.1.0"' in wheel.read("asgi_one/__about__.py").decode()
