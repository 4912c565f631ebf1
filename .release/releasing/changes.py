"""A change to a package's source has news, or a commit message says why not.

What counts as one change is what is new since the base: the branch that a change will be merged
into, if it is known; else what is new since the last release of the package.
"""

from __future__ import annotations

from dataclasses import dataclass

from releasing import fragments, versions
from releasing.errors import RefusalError
from releasing.git import GET_TAGS, Repository
from releasing.plan import api_changes
from releasing.versions import NOTHING_RELEASED, Level
from releasing.workspace import Package, Workspace

# A line at the end of a commit message: `No-news: the tests alone can tell`.
EXEMPTION = "No-news"


@dataclass(frozen=True)
class Base:
    """Where the change began: a commit, or None for the beginning of all."""

    commit: str | None
    description: str


def find_base(repository: Repository, wanted: str | None) -> Base | None:
    """The commit that the checked-out branch will be compared with.

    Returns:
        None where HEAD is all that is known, such as in a fresh clone of the main branch.

    Raises:
        RefusalError: A base was asked for that does not exist.
    """
    if wanted:
        if repository.commit(wanted) is None:
            raise RefusalError(f"there is no commit {wanted!r}: is the clone a shallow one?")
        return Base(_merge_base(repository, wanted) or repository.commit(wanted), wanted)
    head = repository.commit()
    for candidate in ("@{upstream}", "origin/HEAD", "origin/main", "main"):
        base = _merge_base(repository, candidate)
        if base and base != head:
            return Base(base, candidate)
    if repository.commit("HEAD^2"):
        return Base(repository.commit("HEAD^1"), "what was merged into")
    return None


def _merge_base(repository: Repository, other: str) -> str | None:
    if repository.commit(other) is None:
        return None
    if not repository.succeeds("merge-base", "HEAD", other):
        return None
    return repository.git("merge-base", "HEAD", other)


def check_news(workspace: Workspace, repository: Repository, wanted: str | None) -> list[str]:
    """Check all packages, and return what was compared with what.

    Raises:
        RefusalError: A package was changed without news, a fragment is wrong, or the public names
            have changed more than the news tell.
    """
    base = find_base(repository, wanted)
    errors, seen = [], []
    for package in workspace.packages:
        try:
            fragments.read(package)
            compared = base or _since_release(repository, package)
            untagged = not repository.last_release(package.name) and package.released_by_changelog()
            note = f"; its public names are not compared. {GET_TAGS}" if untagged else ""
            seen.append(f"{package.name}: since {compared.description}{note}")
            check_package(repository, package, compared)
            check_api(repository, package)
        except RefusalError as error:
            errors.append(f"{package.name}: {error}")
    if errors:
        raise RefusalError("\n".join(errors))
    return seen


def _since_release(repository: Repository, package: Package) -> Base:
    if last := repository.last_release(package.name):
        return Base(last[1], last[1])
    if package.released_by_changelog():
        # A clone without tags.
        changelog = f"packages/{package.name}/CHANGELOG.md"
        commit = repository.git("log", "-1", "--format=%H", "--", changelog)
        return Base(commit, f"the last change of {changelog}")
    return Base(None, "the beginning")


def check_package(repository: Repository, package: Package, base: Base) -> None:
    """Refuse a change to a package's source that has neither news nor an exemption.

    Raises:
        RefusalError: It has neither.
    """
    folder = f"packages/{package.name}"
    # A release changes the file that holds the version, and nothing else does.
    version = f":(exclude){package.about.relative_to(repository.root).as_posix()}"
    sources = (f"{folder}/src", f"{folder}/pyproject.toml", version)
    commits = _commits(repository, base, *sources)
    is_dirty = bool(repository.git("status", "--porcelain", "--", *sources))
    if not commits and not is_dirty:
        return
    if _adds_news(repository, base, f"{folder}/changelog.d"):
        return
    unexplained = [c for c in commits if not _is_exempt(repository, c)]
    if not unexplained and not is_dirty:
        return
    found = [repository.git("log", "-1", "--format=  %h %s", commit) for commit in unexplained]
    found += ["  what is not committed"] * is_dirty
    raise RefusalError(
        f"changed without news, since {base.description}:\n"
        + "\n".join(found)
        + f'\nTell users: hatch run news {package.name} <type> "<text>". Where there is nothing to'
        f' tell, say why in the last lines of the commit message: "{EXEMPTION}: <reason>"'
    )


def _commits(repository: Repository, base: Base, *paths: str) -> list[str]:
    span = f"{base.commit}..HEAD" if base.commit else "HEAD"
    return repository.git("rev-list", "--no-merges", span, "--", *paths).split()


def _adds_news(repository: Repository, base: Base, folder: str) -> bool:
    """Whether there is a fragment that the base does not have, or has otherwise."""
    if repository.git("status", "--porcelain", "--untracked-files=all", "--", f"{folder}/*.md"):
        return True
    if base.commit is None:
        return bool(repository.git("ls-files", "--", f"{folder}/*.md"))
    # Also one that a release on this branch has taken into the changelog.
    span = f"{base.commit}..HEAD"
    names = repository.git(
        "log", "--format=", "--name-only", "--diff-filter=AM", span, "--", folder
    )
    return any(name.endswith(".md") for name in names.split())


def _is_exempt(repository: Repository, commit: str) -> bool:
    trailer = f"--format=%(trailers:key={EXEMPTION},valueonly)"
    return bool(repository.git("log", "-1", trailer, commit).strip())


def check_api(repository: Repository, package: Package) -> None:
    """Refuse changes of public names and signatures that the news do not tell of.

    Raises:
        RefusalError: A name has gone without a `removal`, or is new without a `feature`.
    """
    last = repository.last_release(package.name)
    if not last:
        return
    before = last[0]
    news = fragments.read(package)
    told = max((f.demand for f in news), default=None)
    allowed = versions.smallest(before, told) if told is not None else NOTHING_RELEASED
    untold = [
        change
        for change in api_changes(package, repository, last[1])
        if versions.smallest(before, change.demand) > allowed
    ]
    if untold:
        kind = "removal" if any(c.demand is Level.MAJOR for c in untold) else "feature"
        raise RefusalError(
            f"public names or signatures have changed since {last[1]}, and no news says so:\n"
            + "\n".join(f"  {change.text}" for change in untold)
            + f'\nTell users: hatch run news {package.name} {kind} "<text>"'
        )
