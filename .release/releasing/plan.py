"""What a release will be, and every reason why it may not be: decided before anything is made."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from releasing import fragments, ranges, versions
from releasing.api import ApiChange, changes
from releasing.errors import RefusalError
from releasing.fragments import Fragment
from releasing.git import GET_TAGS, Repository, tag_name
from releasing.versions import NOTHING_RELEASED, Level
from releasing.workspace import Package, Workspace


@dataclass(frozen=True)
class Plan:
    """A release that may be made."""

    package: Package
    last: Version | None
    version: Version
    news: list[Fragment]
    # Siblings whose last release refuses this version: an install of them keeps an older one.
    to_follow: list[ranges.Range]
    # Own ranges that no release of the sibling is in: an install would not work yet.
    to_precede: list[ranges.Range]

    @property
    def tag(self) -> str:
        """The tag of the release."""
        return tag_name(self.package.name, self.version)


def check_checkout(repository: Repository) -> None:
    """Refuse a checkout that a release cannot be made of.

    Raises:
        RefusalError: There are changes that are not committed, or no branch is checked out.
    """
    if changed := repository.changed_files():
        raise RefusalError("commit or stash these changes first:\n" + "\n".join(changed))
    if repository.branch() is None:
        raise RefusalError("no branch is checked out: a release is a commit on one")
    for head, name in (("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick")):
        if repository.commit(head):
            raise RefusalError(f"a {name} is not finished: commit it, or git {name} --abort")


def check_tags(workspace: Workspace, repository: Repository) -> None:
    """Refuse a clone without the tag of a release that the changelogs tell of.

    Raises:
        RefusalError: One is missing.
    """
    missing = [
        tag_name(package.name, package.version())
        for package in workspace.packages
        if package.released_by_changelog()
        and package.version() not in repository.releases(package.name)
    ]
    if missing:
        raise RefusalError(
            f"the changelogs tell of releases whose tags are not in this history: "
            f"{', '.join(missing)}. {GET_TAGS}"
        )


def make_plan(workspace: Workspace, repository: Repository, name: str, request: str) -> Plan:
    """Decide what the release of a package is.

    Args:
        workspace: The checkout.
        repository: Its repository.
        name: The package.
        request: `patch`, `minor`, `major` or `X.Y.Z`.

    Raises:
        RefusalError: There is no news, or the version is not one that may follow; or a sibling
            in the checkout does not put up with it.
    """
    package = workspace.package(name)
    check_tags(workspace, repository)
    last = _last_release(package, repository)
    news = fragments.read(package)
    if not news:
        raise RefusalError(
            f"nothing is new in {name}: {package.news} has no fragment. `hatch run news` adds one"
        )
    version = versions.requested(request, last or NOTHING_RELEASED)
    if repository.succeeds("show-ref", "--quiet", f"refs/tags/{tag_name(name, version)}"):
        raise RefusalError(
            f"the tag {tag_name(name, version)} exists, and its commit is not in this branch. If"
            " nothing of it is published: git tag --delete"
        )
    _check_demands(package, repository, last, version, news)
    _check_siblings(workspace, package, version)
    return Plan(
        package,
        last,
        version,
        news,
        to_follow=ranges.too_narrow(ranges.released(workspace, repository, name), version),
        to_precede=ranges.without_release(package, repository),
    )


def _last_release(package: Package, repository: Repository) -> Version | None:
    release, written = repository.last_release(package.name), package.version()
    if release and release[0] != written:
        raise RefusalError(
            f"{package.about} says {written}, the last tag is {release[1]}: only a release may"
            " change that file"
        )
    return release[0] if release else None


def _check_demands(
    package: Package,
    repository: Repository,
    last: Version | None,
    version: Version,
    news: list[Fragment],
) -> None:
    before = last or NOTHING_RELEASED
    demanding: list[tuple[Level, str]] = [(f.demand, f.path.name) for f in news]
    if last:
        found = api_changes(package, repository, tag_name(package.name, last))
        demanding += [(change.demand, change.text) for change in found]
    smallest = versions.smallest(before, max(level for level, _ in demanding))
    if version < smallest:
        reasons = [text for level, text in demanding if versions.smallest(before, level) > version]
        raise RefusalError(
            f"{package.name} {version} is too small after {before}, {smallest} is the least:\n"
            + "\n".join(f"  {text}" for text in reasons)
        )
    if last is None and version < package.version():
        raise RefusalError(f"{package.about} says {package.version()}, more than {version}")


def _check_siblings(workspace: Workspace, package: Package, version: Version) -> None:
    narrow = ranges.too_narrow(ranges.declared(workspace, package.name), version)
    if narrow:
        names = ", ".join(r.package for r in narrow)
        raise RefusalError(
            f"the siblings put up with other versions than {version} only:\n"
            + "\n".join(f"  {r}" for r in narrow)
            + f"\nWiden these ranges first, in a change with news for {names}; they are to be"
            f" released after {package.name} {version}"
        )


def api_changes(package: Package, repository: Repository, tag: str) -> list[ApiChange]:
    """What has changed in the public names and signatures of a package since a tag."""
    sources = f"packages/{package.name}/src"
    now = [p / "src" for p in sorted(package.folder.parent.iterdir()) if (p / "src").is_dir()]
    siblings = [folder for folder in now if folder.parent != package.folder]
    with tempfile.TemporaryDirectory() as folder:
        then = repository.export(tag, Path(folder), sources) / sources
        return changes(package.import_name, [then, *siblings], now)
