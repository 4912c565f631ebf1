"""A release is made in a clone, so that the checkout has all of it or nothing of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from releasing.commands import run
from releasing.errors import CommandError, RefusalError
from releasing.git import Repository
from releasing.workspace import Package, Workspace

# `start_string` of .config/towncrier.toml.
_INSERTED_BELOW = "<!-- towncrier release notes start -->\n"
# What ends a program from outside: Ctrl-C, `kill`, and a terminal that is closed.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_NEVER = "0" * 40
# With which key somebody signs, if commits or tags are signed.
_SIGNING = r"^(user\.signingkey|gpg\..*|(commit|tag)\.gpgsign|tag\.forcesignannotated)$"


@dataclass(frozen=True)
class Staging:
    """A clone of the checkout's branch, to be thrown away."""

    original: Repository
    clone: Repository
    branch: str
    start: str

    @classmethod
    def create(cls, original: Repository, folder: Path) -> Staging:
        """Clone the branch that is checked out."""
        branch, start = original.branch(), original.commit()
        assert branch is not None
        assert start is not None
        signing = [part for setting in original.settings(_SIGNING) for part in ("-c", setting)]
        original.git("clone", "--quiet", *signing, "--branch", branch, original.root, folder)
        return cls(original, Repository(folder), branch, start)

    @property
    def workspace(self) -> Workspace:
        """The packages in the clone."""
        return Workspace(self.clone.root)

    def commit(self, package: Package, message: str) -> str:
        """Commit what was changed in the clone, and return the commit.

        Raises:
            RefusalError: Something outside the package was changed.
        """
        self.clone.git("add", "--all")
        changed = self.clone.git("diff", "--cached", "--name-only").splitlines()
        others = [path for path in changed if not path.startswith(f"packages/{package.name}/")]
        if others:
            raise RefusalError(f"the release would change {', '.join(others)}, too")
        # Or `commit.cleanup` may take the headings for comments.
        self.clone.git(
            *("commit", "--quiet", "--cleanup=verbatim", "--message", message),
            environment=self._people(),
        )
        return self.clone.git("rev-parse", "HEAD")

    def tag(self, name: str, commit: str, message: str) -> None:
        """Tag a commit in the clone."""
        self.clone.git(
            *("tag", "--annotate", name, "--cleanup=verbatim", "--message", message, commit),
            environment=self._people(),
        )

    def _people(self) -> dict[str, str]:
        """The names that the checkout is set to, which may be set nowhere else."""
        found: dict[str, str] = {}
        for role in ("AUTHOR", "COMMITTER"):
            name, _, rest = self.original.git("var", f"GIT_{role}_IDENT").rpartition(" <")
            found |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": rest.partition(">")[0]}
        return found

    def land(self, tag: str, commit: str) -> None:
        """Bring the commit and the tag into the checkout, both or neither.

        Raises:
            RefusalError: The checkout has changed meanwhile.
        """
        self._refuse_changes()
        with _uninterrupted():
            # Objects only: no reference of the checkout is touched by it.
            self.original.git("fetch", "--quiet", "--no-tags", self.clone.root, f"refs/tags/{tag}")
            tagged = self.clone.git("rev-parse", f"refs/tags/{tag}")
            # Fails if another has made the tag meanwhile.
            self.original.git("update-ref", f"refs/tags/{tag}", tagged, _NEVER)
            try:
                # What is signed is the person's own, whether or not git has the key.
                self.original.git("merge", "--quiet", "--ff-only", "--no-verify-signatures", commit)
            except CommandError:
                self.original.git("update-ref", "-d", f"refs/tags/{tag}", tagged)
                self._put_back(commit)
                raise

    def _put_back(self, commit: str) -> None:
        # Git has written the files before it fails to move the branch, for a hook that refuses it
        # or a full disk. If it has written none, for somebody's own are in the way, those are kept;
        # others are in any case.
        differing = ("diff", "--name-only", "--no-renames")
        files = self.clone.git(*differing, self.start, commit).splitlines()
        not_written = self.original.git(*differing, commit, "--", *files).splitlines()
        if self.original.commit() == self.start and len(not_written) < len(files):
            source = f"--source={self.start}"
            self.original.git("restore", source, "--staged", "--worktree", "--", *files)

    def _refuse_changes(self) -> None:
        now = (self.original.branch(), self.original.commit())
        if now != (self.branch, self.start) or self.original.changed_files():
            raise RefusalError("the checkout has changed while the release was made: try again")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let no Ctrl-C come between the tag and the branch, here or in git."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, signal.SIG_IGN) for s in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def build_changelog(workspace: Workspace, package: Package, version: str, date: str) -> str:
    """Turn a package's fragments into the newest part of its changelog, and return that part."""
    changelog = package.folder / "CHANGELOG.md"
    before = changelog.read_text(encoding="utf-8")
    if _INSERTED_BELOW not in before:
        raise RefusalError(f"{changelog} lacks the line {_INSERTED_BELOW.strip()}")
    run(
        *(sys.executable, "-m", "towncrier", "build", "--yes", "--version", version),
        *("--date", date, "--dir", package.folder),
        *("--config", workspace.root / ".config" / "towncrier.toml"),
        cwd=workspace.root,
        environment={**os.environ, "PYTHONUTF8": "1"},
    )
    after = changelog.read_text(encoding="utf-8")
    return (
        after.partition(_INSERTED_BELOW)[2]
        .removesuffix(before.partition(_INSERTED_BELOW)[2])
        .strip()
    )
