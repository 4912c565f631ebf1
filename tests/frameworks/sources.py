"""Source distributions from the package index, in a folder that is kept for the next run."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import platformdirs
from packaging.requirements import Requirement
from packaging.utils import parse_sdist_filename

SECONDS_TO_FETCH = 300


class CannotFetchError(Exception):
    """A source distribution could not be had; says why."""


def default_cache() -> Path:
    """Return the folder that is used unless another one is named."""
    return Path(platformdirs.user_cache_dir("asgi-frameworks", appauthor=False))


def fetch(requirement: str, cache: Path, *, reuse: bool) -> Path:
    """Return the unpacked source distribution that a requirement names.

    Args:
        requirement: As pip takes it.
        cache: Where the distributions are kept, unpacked.
        reuse: Whether one that is in the cache will do. Else the index is asked for the newest.

    Raises:
        CannotFetchError: pip did not get it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if reuse and (tree := _newest_in(cache, requirement)) is not None:
        return tree
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        archive = _download(requirement, Path(temporary))
        tree = cache / archive.name.removesuffix(".tar.gz")
        if not tree.exists():
            # Made whole before it has its name: another run may be about to look for it.
            _unpack(archive, Path(temporary, "unpacked")).rename(tree)
    return tree


def _newest_in(cache: Path, requirement: str) -> Path | None:
    wanted = Requirement(requirement)
    found = []
    for tree in cache.glob(f"{wanted.name}-*"):
        _, version = parse_sdist_filename(f"{tree.name}.tar.gz")
        if version in wanted.specifier:
            found.append((version, tree))
    return max(found)[1] if found else None


def _download(requirement: str, folder: Path) -> Path:
    name = Requirement(requirement).name
    # By its name only: with ":all:", what builds it would be built from source as well.
    command = ("-m", "pip", "download", "--no-deps", "--no-binary", name, "--dest", str(folder))
    ended = subprocess.run(
        [sys.executable, *command, "--disable-pip-version-check", requirement],
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_FETCH,
        check=False,
    )
    archives = list(folder.glob("*.tar.gz"))
    if ended.returncode or len(archives) != 1:
        raise CannotFetchError(f"pip did not get {requirement}:\n{ended.stdout}{ended.stderr}")
    return archives[0]


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree
