"""What a person's settings, terminal, disk and clone are like changes nothing of a release."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version
from rich.console import Console

from releasing.cli import main
from releasing.errors import RefusalError
from releasing.git import Repository
from releasing.release import Options, release
from releasing.report import Report
from releasing.staging import Staging, build_changelog


def configure(monkeypatch, key: str, value: str) -> None:
    """Set what somebody has set for all repositories."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", key)
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", value)


def stage(monorepo, folder: Path) -> tuple[Staging, str]:
    """A patch release that is made in the clone, and its commit."""
    monorepo.news("asgi-one", "bugfix")
    staging = Staging.create(monorepo.repository, folder / "clone")
    package = staging.workspace.package("asgi-one")
    package.set_version(Version("1.0.1"))
    news = build_changelog(staging.workspace, package, "1.0.1", "2026-01-01")
    commit = staging.commit(package, f"asgi-one 1.0.1\n\n{news}\n")
    staging.tag("asgi-one-v1.0.1", commit, "asgi-one 1.0.1")
    return staging, commit


def refused(monorepo, capsys, *arguments: str) -> str:
    """Run a command that must fail, and return why it did."""
    before = monorepo.state()
    assert main(arguments, monorepo.root) == 1
    assert monorepo.state() == before
    return capsys.readouterr().err


def refuse_branches(monorepo, *, after: str = "true") -> None:
    """Have git fail to move any branch, once it has written the files."""
    hook = monorepo.root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    refuse = f"if grep -q refs/heads/; then {after}; exit 1; fi"
    hook.write_text(f'#!/bin/sh\nif [ "$1" = prepared ]; then {refuse}; fi\n')
    hook.chmod(0o755)


def test_a_hook_that_refuses_the_branch_leaves_all_as_it_was(monorepo, tmp_path):
    staging, commit = stage(monorepo, tmp_path)
    refuse_branches(monorepo)
    before = monorepo.state()
    with pytest.raises(RefusalError, match="aborted by hook"):
        staging.land("asgi-one-v1.0.1", commit)
    assert monorepo.state() == before


def test_what_somebody_writes_while_a_release_fails_to_land_is_kept(monorepo, tmp_path):
    staging, commit = stage(monorepo, tmp_path)
    about = monorepo.root / "packages/asgi-two/src/asgi_two/__about__.py"
    assert about.exists()
    refuse_branches(monorepo, after=f"echo '# mine' >> '{about}'; rm \"$0\"")
    with pytest.raises(RefusalError, match="aborted by hook"):
        staging.land("asgi-one-v1.0.1", commit)
    assert about.read_text(encoding="utf-8").endswith("# mine\n")
    assert len(monorepo.repository.changed_files()) == 1


def test_a_commit_lands_where_merges_need_a_signature(monorepo, tmp_path):
    staging, commit = stage(monorepo, tmp_path)
    monorepo.git("config", "merge.verifySignatures", "true")
    staging.land("asgi-one-v1.0.1", commit)
    assert monorepo.git("rev-parse", "main") == commit


def test_headings_stay_in_the_message_where_comments_are_stripped(monorepo, tmp_path, monkeypatch):
    configure(monkeypatch, "commit.cleanup", "strip")
    staging, _ = stage(monorepo, tmp_path)
    assert "\n### Fixed\n" in staging.clone.git("log", "-1", "--format=%B")


def test_a_release_is_signed_where_this_repository_signs(monorepo, tmp_path):
    monorepo.git("config", "commit.gpgSign", "true")
    monorepo.git("config", "gpg.program", str(tmp_path / "no-such-program"))
    staging = Staging.create(monorepo.repository, tmp_path / "clone")
    package = staging.workspace.package("asgi-one")
    package.set_version(Version("1.0.1"))
    with pytest.raises(RefusalError, match=r"no-such-program|failed to sign"):
        staging.commit(package, "asgi-one 1.0.1")


def test_tags_are_read_one_by_one_where_git_prints_columns(monorepo, monkeypatch):
    monorepo.git("tag", "asgi-one-v0.9.0")
    configure(monkeypatch, "column.ui", "always")
    found = monorepo.repository.releases("asgi-one")
    assert list(found) == [Version("1.0.0"), Version("0.9.0")]


def test_another_repository_in_the_environment_is_not_looked_at(monorepo, tmp_path, monkeypatch):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "--quiet", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    exported = monorepo.repository.export("asgi-one-v1.0.0", tmp_path / "exported", "packages")
    assert (exported / "packages" / "asgi-one").is_dir()


def test_line_ends_are_the_same_where_git_converts_them(root, tmp_path, monkeypatch):
    if not (root / ".git").exists():
        pytest.skip("not a clone")
    configure(monkeypatch, "core.autocrlf", "true")
    exported = Repository(root).export("HEAD", tmp_path, "packages/asgi-sync")
    readme = (exported / "packages" / "asgi-sync" / "README.md").read_bytes()
    assert readme
    assert b"\r" not in readme


@pytest.fixture
def untagged(monorepo):
    """A clone without tags of packages that are released."""
    start = "<!-- towncrier release notes start -->\n"
    for name in ("asgi-one", "asgi-two"):
        monorepo.git("tag", "--delete", f"{name}-v1.0.0")
        changelog = f"packages/{name}/CHANGELOG.md"
        monorepo.replace(changelog, start, f"{start}\n## 1.0.0 (2026-01-01)\n")
    monorepo.news("asgi-two", "bugfix")
    return monorepo


@pytest.mark.parametrize(
    "command", [("release", "asgi-two", "patch", "--dry-run"), ("compatibility",)]
)
def test_a_clone_without_tags_is_refused_with_all_that_are_missing(untagged, capsys, command):
    reason = refused(untagged, capsys, *command)
    assert "asgi-one-v1.0.0, asgi-two-v1.0.0. In a clone" in reason
    assert "git fetch --tags" in reason
    assert "--unshallow" in reason


def test_a_tag_that_is_not_there_is_told_before_it_is_built(monorepo, capsys, tmp_path):
    reason = refused(monorepo, capsys, "build-tag", "asgi-one-v1.0.7", str(tmp_path / "dist"))
    assert "there is no asgi-one-v1.0.7 here" in reason
    assert "git fetch --tags" in reason


def test_news_are_checked_without_tags_and_what_is_not_is_told(untagged, capsys):
    assert main(["check-news"], untagged.root) == 0
    assert "its public names are not compared" in capsys.readouterr().out


def test_a_merge_that_is_not_finished_is_refused_at_once(monorepo, capsys):
    monorepo.git("checkout", "-q", "-b", "other")
    monorepo.commit("Other")
    monorepo.git("checkout", "-q", "main")
    monorepo.news("asgi-one", "bugfix")
    monorepo.git("merge", "-q", "--no-commit", "-s", "ours", "other")
    assert "git merge --abort" in refused(monorepo, capsys, "release", "asgi-one", "patch")


def test_a_fragment_that_is_not_utf_8_is_refused(monorepo, capsys):
    fragment = monorepo.root / "packages/asgi-one/changelog.d/8.doc.md"
    fragment.write_bytes("Café.\n".encode("latin-1"))
    monorepo.commit("asgi-one: news")
    assert "8.doc.md is not UTF-8" in refused(monorepo, capsys, "release", "asgi-one", "patch")


def test_a_missing_folder_for_news_is_refused(monorepo, capsys):
    monorepo.git("rm", "-q", "-r", "packages/asgi-one/changelog.d")
    monorepo.commit("asgi-one: no news")
    assert "changelog.d is missing" in refused(monorepo, capsys, "release", "asgi-one", "patch")


def test_a_changelog_without_the_line_to_insert_below_is_refused(monorepo, tmp_path):
    monorepo.write("packages/asgi-one/CHANGELOG.md", "# Changelog\n")
    with pytest.raises(RefusalError, match="lacks the line <!-- towncrier"):
        stage(monorepo, tmp_path)


def test_tests_that_cannot_be_started_are_told_at_once(monorepo, capsys, monkeypatch):
    monorepo.news("asgi-one", "bugfix")
    git = shutil.which("git")
    assert git
    folder = monorepo.root.parent / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(folder))
    reason = refused(monorepo, capsys, "release", "asgi-one", "patch")
    assert "run by hatch, which is not on the PATH" in reason


def test_a_full_disk_is_told_in_a_line(monorepo, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Repository, "changed_files", full)
    reason = refused(monorepo, capsys, "release", "asgi-one", "patch")
    assert reason.splitlines() == ["failed: [Errno 28] No space left on device"]


def test_a_release_whose_files_cannot_be_kept_says_that_it_is_made(monorepo, tmp_path):
    monorepo.news("asgi-one", "bugfix")
    (tmp_path / "dist").write_text("A file.\n")
    options = Options(dist=tmp_path / "dist", suite=[sys.executable], own_tests=False)
    with pytest.raises(RefusalError, match=r"the release is made, .*build-tag asgi-one-v1\.0\.1"):
        release(monorepo.root, "asgi-one", "patch", options, Report(Console(file=io.StringIO())))
    assert monorepo.git("tag", "--list", "asgi-one-v1.0.1")


def test_a_terminal_without_the_characters_of_a_report_stops_nothing(root):
    if not (root / ".git").exists():
        pytest.skip("not a clone")
    done = subprocess.run(
        [sys.executable, root / ".release", "check-news", "--base", "HEAD"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Whether the news are well is not the question here.
    assert done.returncode == 0 or done.stderr.startswith("refused: ")
