"""What a release refuses, and that a refused one leaves the checkout as it was."""

from __future__ import annotations

import io
import sys

import pytest
from packaging.version import Version
from rich.console import Console

from releasing.cli import main
from releasing.errors import RefusalError
from releasing.release import Options, release
from releasing.report import Report
from releasing.staging import Staging, build_changelog

GREEN = [sys.executable, "-c", ""]
RED = [sys.executable, "-c", "raise SystemExit(3)"]


def attempt(monorepo, package: str, request: str, **options: object) -> str:
    """Release without tests, and return what was printed."""
    printed = io.StringIO()
    chosen = Options(**{"suite": GREEN, "own_tests": False, **options})
    release(monorepo.root, package, request, chosen, Report(Console(file=printed, width=200)))
    return printed.getvalue()


def refused(monorepo, package: str, request: str, **options: object) -> str:
    """Try a release that must not be made, and return why not."""
    before = monorepo.state()
    with pytest.raises(RefusalError) as caught:
        attempt(monorepo, package, request, **options)
    assert monorepo.state() == before
    return str(caught.value)


def test_a_package_that_does_not_exist(monorepo):
    assert "no package 'asgi-three'" in refused(monorepo, "asgi-three", "patch")


def test_changes_that_are_not_committed(monorepo):
    monorepo.news("asgi-one", "bugfix")
    monorepo.write("packages/asgi-two/README.md", "# Changed\n")
    reason = refused(monorepo, "asgi-one", "patch")
    assert "commit or stash" in reason
    assert "packages/asgi-two/README.md" in reason


def test_a_file_that_git_does_not_know(monorepo):
    monorepo.news("asgi-one", "bugfix")
    monorepo.write("notes/x.txt", "x")
    assert "notes/x.txt" in refused(monorepo, "asgi-one", "patch")


def test_no_branch(monorepo):
    monorepo.news("asgi-one", "bugfix")
    monorepo.git("checkout", "-q", "--detach")
    assert "no branch is checked out" in refused(monorepo, "asgi-one", "patch")


def test_no_news(monorepo):
    monorepo.news("asgi-two", "bugfix")
    assert "nothing is new in asgi-one" in refused(monorepo, "asgi-one", "patch")


def test_news_of_an_unknown_type(monorepo):
    monorepo.news("asgi-one", "bugfx")
    assert "'bugfx' is no type of news" in refused(monorepo, "asgi-one", "patch")


@pytest.mark.parametrize("request_", ["1.0.0", "0.9.0"])
def test_a_version_that_is_not_greater(monorepo, request_):
    monorepo.news("asgi-one", "bugfix")
    assert "is not greater than 1.0.0" in refused(monorepo, "asgi-one", request_)


@pytest.mark.parametrize(
    ("kind", "request_", "least"),
    [("removal", "minor", "2.0.0"), ("feature", "patch", "1.1.0"), ("removal", "1.9.0", "2.0.0")],
)
def test_a_version_smaller_than_the_news_demand(monorepo, kind, request_, least):
    monorepo.news("asgi-two", kind)
    reason = refused(monorepo, "asgi-two", request_)
    assert f"{least} is the least" in reason
    assert f"7.{kind}.md" in reason


@pytest.mark.parametrize(
    ("old", "new", "least", "what"),
    [
        ("name: str", "whom: str", "2.0.0", "greet(name): Parameter was removed"),
        ('"greet"]', "]", "2.0.0", "asgi_two.greet: no longer public"),
        ('"greet"]', '"greet", "other"]\n\n\nother = greet', "1.1.0", "asgi_two.other: new"),
    ],
)
def test_a_version_smaller_than_the_public_names_demand(monorepo, old, new, least, what):
    monorepo.replace("packages/asgi-two/src/asgi_two/__init__.py", old, new)
    monorepo.news("asgi-two", "bugfix")
    reason = refused(monorepo, "asgi-two", "patch")
    assert f"{least} is the least" in reason
    assert what in reason


def test_a_version_that_was_written_by_hand(monorepo):
    monorepo.replace("packages/asgi-one/src/asgi_one/__about__.py", "1.0.0", "1.1.0")
    monorepo.news("asgi-one", "bugfix")
    assert "says 1.1.0, the last tag is asgi-one-v1.0.0" in refused(monorepo, "asgi-one", "patch")


def test_a_clone_without_tags(monorepo):
    monorepo.git("tag", "--delete", "asgi-one-v1.0.0")
    text = "<!-- towncrier release notes start -->\n"
    monorepo.replace("packages/asgi-one/CHANGELOG.md", text, f"{text}\n## 1.0.0 (2026-01-01)\n")
    monorepo.news("asgi-one", "bugfix")
    assert "git fetch --tags" in refused(monorepo, "asgi-one", "patch")


def test_a_tag_that_another_branch_has(monorepo):
    monorepo.git("checkout", "-q", "-b", "other")
    monorepo.news("asgi-one", "bugfix")
    monorepo.git("tag", "asgi-one-v1.0.1")
    monorepo.git("checkout", "-q", "main")
    monorepo.news("asgi-one", "bugfix", "Other news.")
    assert "asgi-one-v1.0.1 exists" in refused(monorepo, "asgi-one", "patch")


def test_siblings_that_do_not_take_the_version(monorepo):
    monorepo.news("asgi-one", "removal")
    reason = refused(monorepo, "asgi-one", "major")
    assert "asgi-two asks for asgi-one>=1.0,<2" in reason
    assert "to be released after asgi-one 2.0.0" in reason


def test_a_sibling_of_which_no_release_will_do(monorepo):
    monorepo.replace("packages/asgi-two/pyproject.toml", ">=1.0,<2", ">=1.1,<2")
    monorepo.news("asgi-two", "feature")
    reason = refused(monorepo, "asgi-two", "minor")
    assert "release the sibling first: asgi-two asks for asgi-one>=1.1,<2" in reason


def test_a_red_test_suite(monorepo):
    monorepo.news("asgi-one", "bugfix")
    assert "failed with exit code 3" in refused(monorepo, "asgi-one", "patch", suite=RED)


def test_a_readme_that_an_index_cannot_show(monorepo):
    monorepo.replace("packages/asgi-one/pyproject.toml", 'readme = "README.md"', "")
    monorepo.news("asgi-one", "bugfix")
    assert "twine" in refused(monorepo, "asgi-one", "patch")


def test_files_that_differ_when_they_are_built_again(monorepo):
    hook = '[tool.hatch.build.targets.wheel.hooks.custom]\npath = "hook.py"\n'
    monorepo.write(
        "packages/asgi-one/pyproject.toml",
        (monorepo.root / "packages/asgi-one/pyproject.toml").read_text() + hook,
    )
    monorepo.write(
        "packages/asgi-one/hook.py",
        "import os\n"
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n\n\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        file = os.path.join(self.root, 'src', 'asgi_one', '_made.py')\n"
        "        with open(file, 'w') as made:\n"
        "            made.write(repr(os.urandom(8)))\n",
    )
    monorepo.news("asgi-one", "bugfix")
    assert "is not the same when it is built again" in refused(monorepo, "asgi-one", "patch")


def test_a_wheel_that_does_not_work(monorepo):
    monorepo.replace("packages/asgi-one/src/asgi_one/__init__.py", "Hello", "Goodbye")
    monorepo.news("asgi-one", "bugfix")
    assert "AssertionError" in refused(monorepo, "asgi-one", "patch")


@pytest.fixture
def staged(monorepo, tmp_path):
    """A release that is made in the clone, and its commit."""
    monorepo.news("asgi-one", "bugfix")
    staging = Staging.create(monorepo.repository, tmp_path / "clone")
    package = staging.workspace.package("asgi-one")
    package.set_version(Version("1.0.1"))
    build_changelog(staging.workspace, package, "1.0.1", "2026-01-01")
    commit = staging.commit(package, "asgi-one 1.0.1")
    staging.tag("asgi-one-v1.0.1", commit, "asgi-one 1.0.1")
    return staging, commit


def test_a_checkout_that_changes_meanwhile(monorepo, staged):
    monorepo.commit("Meanwhile")
    before = monorepo.state()
    with pytest.raises(RefusalError, match="has changed while the release was made"):
        staged[0].land("asgi-one-v1.0.1", staged[1])
    assert monorepo.state() == before


def test_a_file_that_appears_meanwhile(monorepo, staged):
    monorepo.write("notes.txt", "x")
    before = monorepo.state()
    with pytest.raises(RefusalError, match="has changed while the release was made"):
        staged[0].land("asgi-one-v1.0.1", staged[1])
    assert monorepo.state() == before


def test_a_tag_that_appears_meanwhile(monorepo, staged):
    monorepo.git("tag", "asgi-one-v1.0.1")
    before = monorepo.state()
    with pytest.raises(RefusalError, match="already exists"):
        staged[0].land("asgi-one-v1.0.1", staged[1])
    assert monorepo.state() == before


def test_a_commit_that_cannot_be_brought_in_takes_the_tag_with_it(monorepo, staged):
    # What git refuses to overwrite, although `git status` does not tell of it.
    fragment = "packages/asgi-one/changelog.d/7.bugfix.md"
    monorepo.git("update-index", "--assume-unchanged", fragment)
    monorepo.write(fragment, "Somebody's own.\n")
    before = monorepo.state()
    with pytest.raises(RefusalError, match="would be overwritten"):
        staged[0].land("asgi-one-v1.0.1", staged[1])
    assert monorepo.state() == before


def test_a_change_outside_the_package(monorepo, tmp_path):
    staging = Staging.create(monorepo.repository, tmp_path / "clone")
    (tmp_path / "clone" / "packages" / "asgi-two" / "README.md").write_text("# Other\n")
    with pytest.raises(RefusalError, match=r"would change packages/asgi-two/README\.md, too"):
        staging.commit(staging.workspace.package("asgi-one"), "asgi-one 1.0.1")


def test_an_interrupt_leaves_the_checkout_as_it_was(monorepo, monkeypatch, capsys):
    monorepo.news("asgi-one", "bugfix")
    before = monorepo.state()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("releasing.checks.check_metadata", interrupted)
    assert main(["release", "asgi-one", "patch"], monorepo.root) == 130
    assert "nothing is changed" in capsys.readouterr().err
    assert monorepo.state() == before


def test_a_dry_run_shows_it_and_leaves_the_checkout_as_it_was(monorepo):
    monorepo.news("asgi-one", "feature", "Greets in *style*.")
    before = monorepo.state()
    shown = attempt(monorepo, "asgi-one", "minor", dry_run=True, suite=RED)
    assert monorepo.state() == before
    assert "asgi-one 1.1.0, after 1.0.0" in shown
    assert "Greets in style." in shown
    assert "Dry run: no commit, no tag asgi-one-v1.1.0." in shown


def test_a_dry_run_before_the_siblings_release_says_what_comes_first(monorepo):
    for tag in ("asgi-one-v1.0.0", "asgi-two-v1.0.0"):
        monorepo.git("tag", "--delete", tag)
    monorepo.news("asgi-two", "feature")
    shown = attempt(monorepo, "asgi-two", "1.0.0", dry_run=True)
    assert "asgi-two 1.0.0, the first release" in shown
    assert "first release asgi-one" in shown
    assert "(asgi-one: from the checkout, as nothing is released)" in shown


def test_a_release_changes_its_package_alone_and_its_tag_gives_the_same_files(monorepo, tmp_path):
    """One test for both, as a release takes seconds."""
    monorepo.news("asgi-one", "bugfix", "Greets louder.")
    before = monorepo.git("rev-parse", "HEAD")
    attempt(monorepo, "asgi-one", "patch", dist=tmp_path / "dist")
    assert monorepo.git("rev-parse", "HEAD^") == before
    tagged = monorepo.git("rev-parse", "asgi-one-v1.0.1^{commit}")
    assert tagged == monorepo.git("rev-parse", "main")
    assert monorepo.git("status", "--porcelain") == ""
    changed = monorepo.git("show", "--name-status", "--format=", "HEAD").splitlines()
    assert changed == [
        "M\tpackages/asgi-one/CHANGELOG.md",
        "D\tpackages/asgi-one/changelog.d/7.bugfix.md",
        "M\tpackages/asgi-one/src/asgi_one/__about__.py",
    ]
    assert "Greets louder. (#7)" in (monorepo.root / "packages/asgi-one/CHANGELOG.md").read_text()
    assert "## 1.0.1 (" in monorepo.git("tag", "--list", "--format=%(contents)", "asgi-one-v1.0.1")

    again = tmp_path / "again"
    assert main(["build-tag", "asgi-one-v1.0.1", str(again)], monorepo.root) == 0
    released = {path.name: path.read_bytes() for path in (tmp_path / "dist").iterdir()}
    assert sorted(released) == ["asgi_one-1.0.1-py3-none-any.whl", "asgi_one-1.0.1.tar.gz"]
    assert {path.name: path.read_bytes() for path in again.iterdir()} == released


def test_a_tag_of_another_version_than_its_commit_is_not_published(monorepo, tmp_path, capsys):
    monorepo.git("tag", "asgi-one-v1.0.5")
    assert main(["build-tag", "asgi-one-v1.0.5", str(tmp_path / "dist")], monorepo.root) == 1
    assert "the tag says 1.0.5" in capsys.readouterr().err
