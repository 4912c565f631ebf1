"""A small repository of the layout of this one, to release from: asgi-two needs asgi-one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from releasing.git import Repository
from releasing.workspace import Workspace

ROOT = Path(__file__).parents[2]

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
dynamic = ["version"]
description = "For a test."
readme = "README.md"
license-files = ["LICENSE"]
requires-python = ">=3.11"
dependencies = [{dependencies}]

[tool.hatch.version]
path = "src/{import_name}/__about__.py"

[tool.hatch.build.targets.sdist]
include = ["/src", "/README.md", "/CHANGELOG.md", "/LICENSE"]

[tool.hatch.build.targets.sdist.force-include]
"../../tests/conftest.py" = "tests/conftest.py"
"../../tests/pytest.ini" = "pytest.ini"
"../../tests/{tests}" = "tests/{tests}"

[tool.hatch.build.targets.wheel]
packages = ["src/{import_name}"]
"""

INIT = '''\
"""For a test."""

from {import_name}.__about__ import __version__

__all__ = ["__version__", "greet"]


def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {{name}}"
'''


@dataclass(frozen=True)
class Monorepo:
    root: Path

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", self.root, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def news(self, package: str, kind: str, text: str = "News.") -> None:
        self.write(f"packages/{package}/changelog.d/7.{kind}.md", f"{text}\n")
        self.commit(f"{package}: a {kind}")

    def add_package(self, name: str, dependencies: str = "") -> None:
        import_name, folder = name.replace("-", "_"), f"packages/{name}"
        tests = name.removeprefix("asgi-")
        names = {"name": name, "import_name": import_name, "tests": tests}
        self.write(f"{folder}/pyproject.toml", PYPROJECT.format(dependencies=dependencies, **names))
        self.write(f"{folder}/src/{import_name}/__init__.py", INIT.format(import_name=import_name))
        about = '"""The version."""\n\n__version__ = "1.0.0"\n'
        self.write(f"{folder}/src/{import_name}/__about__.py", about)
        self.write(f"{folder}/src/{import_name}/py.typed", "")
        self.write(f"{folder}/README.md", f"# {name}\n")
        self.write(f"{folder}/LICENSE", "Free.\n")
        start = "<!-- towncrier release notes start -->"
        self.write(f"{folder}/CHANGELOG.md", f"# Changelog\n\n{start}\n")
        self.write(f"{folder}/changelog.d/.gitkeep", "")
        smoke = f"import {import_name}\nassert {import_name}.greet('you') == 'Hello, you'\n"
        self.write(f"tests/packaging/smoke/{import_name}.py", smoke)
        self.write(f"tests/{tests}/test_it.py", "def test_it():\n    pass\n")

    def state(self) -> object:
        """Everything that a refused release must leave as it is."""
        files = {
            path: path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(self.root).parts
        }
        references = self.git("for-each-ref")
        index = self.git("ls-files", "--stage")
        return files, references, index, self.git("status", "--porcelain"), self.git("branch")

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    @property
    def repository(self) -> Repository:
        return Repository(self.root)


@pytest.fixture(autouse=True)
def own_git_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who commits, and nothing of what the person who runs the tests has set."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def root() -> Path:
    return ROOT


def name_committer(root: Path) -> None:
    """In the repository only, as a person may have set it."""
    for setting, value in [("user.name", "A Maintainer"), ("user.email", "m@example.org")]:
        subprocess.run(["git", "-C", root, "config", setting, value], check=True)


@pytest.fixture(scope="session")
def monorepo_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = Monorepo(tmp_path_factory.mktemp("template") / "repository")
    repo.root.mkdir()
    repo.git("init", "--quiet", "--initial-branch", "main")
    name_committer(repo.root)
    repo.add_package("asgi-one")
    repo.add_package("asgi-two", '"asgi-one>=1.0,<2"')
    shutil.copytree(ROOT / ".config", repo.root / ".config")
    repo.write("tests/conftest.py", "")
    repo.write("tests/pytest.ini", "[pytest]\n")
    repo.write(".gitignore", "__pycache__/\n")
    repo.commit("The first releases")
    repo.git("tag", "--annotate", "--message", "one", "asgi-one-v1.0.0")
    repo.git("tag", "--annotate", "--message", "two", "asgi-two-v1.0.0")
    return repo.root


@pytest.fixture
def monorepo(monorepo_template: Path, tmp_path: Path) -> Iterator[Monorepo]:
    """Both packages are released as 1.0.0; nothing is new."""
    shutil.copytree(monorepo_template, tmp_path / "repository")
    return Monorepo(tmp_path / "repository")
