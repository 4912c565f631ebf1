"""A rehearsal of release days, in a clone of this repository, with a folder as the index.

Each part goes on from where the one before it ended. What is installed comes from that folder
and nowhere else; the test suite is left out, as this is run by it.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.version import Version
from rich.console import Console

from releasing import building
from releasing.errors import RefusalError
from releasing.git import Repository
from releasing.release import Options, release
from releasing.report import Report
from releasing.versions import Level, bumped
from releasing.workspace import Workspace

# Three releases in one test are a hundred programs, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
NAMES = ["asgi-local", "asgi-meta", "asgi-server", "asgi-sync", "asgi-wsgi"]

# Neither settings of the person who runs this, nor another index.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PIP_", "PYTHON"))}
ENVIRONMENT |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Rehearsal:
    """A clone, an index, and the environment of somebody who installs from it."""

    clone: Path
    index: Path
    python: Path
    first: dict[str, Version] = field(default_factory=dict)
    released: dict[str, Version] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        return run("git", "-C", self.clone, *arguments).strip()

    def start(self) -> None:
        """Make what is checked out the first release of every package."""
        repository, workspace = Repository(self.clone), Workspace(self.clone)
        for tag in self.git("tag").split():
            self.git("tag", "--delete", tag)
        for fragment in self.clone.glob("packages/*/changelog.d/*.md"):
            fragment.unlink()
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message", "First releases")
        for package in workspace.packages:
            self.first[package.name] = self.released[package.name] = package.version()
            self.git("tag", f"{package.name}-v{package.version()}")
            building.build(package, self.index, repository.time_of("HEAD"))

    def tell_news(self, package: str, kind: str) -> None:
        fragment = self.clone / "packages" / package / "changelog.d" / f"8.{kind}.md"
        fragment.write_text(f"News of the type {kind}.\n")
        self.commit(f"{package}: {kind}")

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def release(self, package: str, request: str) -> str:
        """Release a package into the index, and return what was printed."""
        printed = io.StringIO()
        options = Options(dist=self.index, suite=[sys.executable, "-c", ""], own_tests=False)
        report = Report(Console(file=printed, width=200))
        plan = release(self.clone, package, request, options, report)
        self.released[package] = plan.version
        return printed.getvalue()

    def widen(self, package: str, sibling: str, version: Version) -> None:
        """Have a package put up with the next major version of a sibling, too."""
        path = self.clone / "packages" / package / "pyproject.toml"
        wider = re.sub(
            rf'("{sibling}>=[\d.]+,<)\d+"', rf'\g<1>{version.major + 1}"', path.read_text()
        )
        assert wider != path.read_text()
        path.write_text(wider)
        self.tell_news(package, "feature")

    def pip(self, *arguments: str) -> str:
        return run(sys.executable, "-m", "pip", "--python", self.python, *arguments)

    def install(self, *requirements: str) -> dict[str, Version]:
        """Install, check the outcome, and return what is installed then."""
        self.pip(
            *("install", "--quiet", "--no-compile", "--no-index", "--find-links", str(self.index)),
            *("--upgrade", "--upgrade-strategy", "eager", *requirements),
        )
        self.pip("check")
        (packages,) = self.python.parents[1].rglob("site-packages")
        return {d.name: Version(d.version) for d in distributions(path=[str(packages)])}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("rehearsal")
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    # Whatever is checked out, if only a commit, is the branch `main` there.
    run("git", "clone", "--quiet", "--no-checkout", ROOT, folder / "clone")
    head = run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    run("git", "-C", folder / "clone", "checkout", "--quiet", "-B", "main", head)
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder / "environment")
    python = folder / "environment" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (folder / "index").mkdir()
    made = Rehearsal(folder / "clone", folder / "index", python)
    made.git("config", "user.name", "A Maintainer")
    made.git("config", "user.email", "m@example.org")
    made.start()
    return made


def test_the_first_releases_install_together(rehearsal):
    assert rehearsal.install("asgi-meta") == rehearsal.first


def test_a_minor_release_of_asgi_sync_reaches_those_who_have_all(rehearsal):
    rehearsal.tell_news("asgi-sync", "feature")
    rehearsal.release("asgi-sync", "minor")
    expected = bumped(rehearsal.first["asgi-sync"], Level.MINOR)
    assert rehearsal.install("asgi-meta") == {**rehearsal.first, "asgi-sync": expected}


def test_a_patch_release_of_asgi_local_reaches_those_who_have_all(rehearsal):
    rehearsal.tell_news("asgi-local", "bugfix")
    before = dict(rehearsal.released)
    rehearsal.release("asgi-local", "patch")
    assert rehearsal.released["asgi-local"] == bumped(before["asgi-local"], Level.PATCH)
    assert rehearsal.install("asgi-meta") == rehearsal.released


def test_siblings_complain_of_a_major_release_of_asgi_sync(rehearsal):
    rehearsal.tell_news("asgi-sync", "removal")
    with pytest.raises(RefusalError) as caught:
        rehearsal.release("asgi-sync", "major")
    for sibling in ("asgi-local", "asgi-meta", "asgi-wsgi"):
        assert f"{sibling} asks for asgi-sync>=" in str(caught.value)
    assert "asgi-server" not in str(caught.value)


def test_the_major_release_says_which_siblings_are_to_follow(rehearsal):
    version = bumped(rehearsal.released["asgi-sync"], Level.MAJOR)
    for sibling in ("asgi-local", "asgi-meta", "asgi-wsgi"):
        rehearsal.widen(sibling, "asgi-sync", version)
    printed = rehearsal.release("asgi-sync", "major")
    for sibling in ("asgi-local", "asgi-meta", "asgi-wsgi"):
        assert f"! then release {sibling}: " in printed
    assert "release asgi-server" not in printed


def test_asgi_sync_alone_is_the_major_release_at_once(rehearsal):
    rehearsal.pip("uninstall", "--quiet", "--yes", *NAMES)
    assert rehearsal.install("asgi-sync") == {"asgi-sync": rehearsal.released["asgi-sync"]}


def test_those_who_have_all_keep_an_asgi_sync_that_all_put_up_with(rehearsal):
    kept = bumped(rehearsal.first["asgi-sync"], Level.MINOR)
    assert rehearsal.install("asgi-meta") == {**rehearsal.released, "asgi-sync": kept}


def test_asgi_meta_afterwards_brings_the_major_release(rehearsal):
    for package in ("asgi-local", "asgi-wsgi", "asgi-meta"):
        rehearsal.release(package, "minor")
    assert rehearsal.install("asgi-meta") == rehearsal.released


def test_a_downgrade_of_asgi_meta_takes_asgi_sync_back_with_it(rehearsal):
    kept = bumped(rehearsal.first["asgi-sync"], Level.MINOR)
    first = rehearsal.first["asgi-meta"]
    installed = rehearsal.install(f"asgi-meta=={first}")
    assert installed == {**rehearsal.released, "asgi-meta": first, "asgi-sync": kept}


def test_a_downgrade_to_the_first_releases_works(rehearsal):
    pins = [f"{name}=={version}" for name, version in rehearsal.first.items()]
    assert rehearsal.install(*pins) == rehearsal.first


def test_every_release_is_one_commit_with_a_tag_and_a_changelog(rehearsal):
    for name, version in rehearsal.released.items():
        if version != rehearsal.first[name]:
            assert (
                rehearsal.git("log", "-1", "--format=%s", f"{name}-v{version}")
                == f"{name} {version}"
            )
            changelog = (rehearsal.clone / "packages" / name / "CHANGELOG.md").read_text()
            assert f"## {version} (" in changelog
    assert rehearsal.git("status", "--porcelain") == ""
