"""The repository: what is committed and tagged, and what was when."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from packaging.version import InvalidVersion, Version

from releasing.commands import run
from releasing.errors import CommandError, RefusalError

# Set in a hook or by a caller, these would send every command to another repository.
_ELSEWHERE = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}

# Settings of a person that would change what is read here.
_PLAIN = ("-c", "log.showSignature=false", "-c", "column.ui=never", "-c", "color.ui=false")

GET_TAGS = "In a clone without all tags: git fetch --tags; in a shallow one: with --unshallow, too"


def tag_name(package: str, version: Version) -> str:
    """The tag of a release."""
    return f"{package}-v{version}"


def parse_tag(tag: str) -> tuple[str, Version]:
    """The package and the version of a tag.

    Raises:
        RefusalError: It is not the tag of a release.
    """
    name, separator, version = tag.rpartition("-v")
    try:
        parsed = Version(version)
    except InvalidVersion:
        parsed = None
    if not separator or parsed is None or tag_name(name, parsed) != tag:
        raise RefusalError(f"{tag!r} is no tag of a release, such as asgi-sync-v1.2.0")
    return name, parsed


@dataclass(frozen=True)
class Repository:
    """A clone with a working tree."""

    root: Path

    def git(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run git here, and return what it printed without the last line break."""
        settings = {**_environment(), **(environment or {})}
        printed = run("git", *_PLAIN, "-C", self.root, *arguments, environment=settings)
        return printed.removesuffix("\n")

    def settings(self, pattern: str) -> list[str]:
        """What is set for this repository and nowhere else, as KEY=VALUE."""
        if not self.succeeds("config", "--local", "--get-regexp", pattern):
            return []
        lines = self.git("config", "--local", "--null", "--get-regexp", pattern).split("\0")
        return [line.replace("\n", "=", 1) for line in lines if line]

    def succeeds(self, *arguments: str) -> bool:
        """Whether a git command that asks a question says yes."""
        try:
            self.git(*arguments)
        except CommandError:
            return False
        return True

    def commit(self, revision: str = "HEAD") -> str | None:
        """The id of a commit, None if there is no such."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except CommandError:
            return None

    def branch(self) -> str | None:
        """The branch that is checked out, if one is."""
        return self.git("branch", "--show-current") or None

    def changed_files(self) -> list[str]:
        """Lines of `git status` for what is not committed, untracked files included."""
        return self.git("status", "--porcelain", "--untracked-files=all").splitlines()

    def releases(self, package: str) -> dict[Version, str]:
        """The versions of a package that are tagged in the history of HEAD, the newest first.

        Tags of other branches are none of this branch's releases.
        """
        tags = self.git("tag", "--list", f"{package}-v*", "--merged", "HEAD").splitlines()
        found = {parse_tag(tag)[1]: tag for tag in tags if _is_release(tag, package)}
        return dict(sorted(found.items(), reverse=True))

    def last_release(self, package: str) -> tuple[Version, str] | None:
        """The newest version of a package that is tagged, and its tag."""
        return next(iter(self.releases(package).items()), None)

    def file(self, revision: str, path: str) -> str:
        """A file as it was."""
        return self.git("show", f"{revision}:{path}")

    def export(self, revision: str, folder: Path, *paths: str) -> Path:
        """Write files as they were into a folder, and return the folder."""
        archive = subprocess.run(
            ["git", "-C", self.root, "archive", "--format=tar", revision, "--", *paths],
            env=_environment(),
            capture_output=True,
            check=False,
        )
        if archive.returncode:
            if self.commit(revision) is None:
                raise RefusalError(f"there is no {revision} here. {GET_TAGS}")
            said = archive.stderr.decode(errors="replace").strip()
            raise RefusalError(f"{' and '.join(paths)} cannot be read from {revision}: {said}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        return folder

    def time_of(self, revision: str) -> int:
        """When a commit was made, in seconds."""
        return int(self.git("log", "-1", "--format=%ct", revision))


def _environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE}
    return {**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def _is_release(tag: str, package: str) -> bool:
    try:
        return parse_tag(tag)[0] == package
    except RefusalError:
        return False
