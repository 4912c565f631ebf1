"""The commands: their arguments, and what they print."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from releasing import building, changes, checks, fragments, trials
from releasing.errors import RefusalError
from releasing.git import Repository, parse_tag
from releasing.plan import check_tags
from releasing.release import Options, release
from releasing.report import Report
from releasing.workspace import Package, Workspace

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run a command of a checkout, and return its exit code."""
    report = Report()
    try:
        chosen = _parser().parse_args(arguments)
        chosen.command(chosen, root, report)
    except RefusalError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # Such as a full disk.
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing is changed", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hatch run", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("release", help="release a package: check, build, test, commit, tag")
    one.add_argument("package")
    one.add_argument("version", help="patch, minor, major or X.Y.Z")
    one.add_argument("--dry-run", action="store_true", help="show it, without the tests")
    one.add_argument("--dist", type=Path, help="a folder for the sdist and the wheel")
    one.set_defaults(command=_release)

    one = commands.add_parser("news", help="tell users what has changed")
    one.add_argument("package")
    one.add_argument("type", help=", ".join(fragments.DEMANDS))
    one.add_argument("text", help="what has changed for users, in Markdown")
    one.add_argument("--issue", help="the number of the issue")
    one.set_defaults(command=_news)

    one = commands.add_parser("check-news", help="check that changes of packages have news")
    one.add_argument("--base", help="a commit or branch to compare with")
    one.set_defaults(command=_check_news)

    one = commands.add_parser("compatibility", help="test with the siblings as released")
    one.add_argument("packages", nargs="*", help="all that have siblings, if none is named")
    one.set_defaults(command=_compatibility)

    one = commands.add_parser("build-tag", help="build and check a release again, to publish it")
    one.add_argument("tag")
    one.add_argument("folder", type=Path)
    one.set_defaults(command=_build_tag)
    return parser


def _release(chosen: argparse.Namespace, root: Path, report: Report) -> None:
    options = Options(dry_run=chosen.dry_run, dist=chosen.dist)
    release(root, chosen.package, chosen.version, options, report)


def _news(chosen: argparse.Namespace, root: Path, report: Report) -> None:
    package = Workspace(root).package(chosen.package)
    path = fragments.write(package, chosen.type, chosen.text, chosen.issue)
    report.say(str(path.relative_to(root)))


def _check_news(chosen: argparse.Namespace, root: Path, report: Report) -> None:
    for line in changes.check_news(Workspace(root), Repository(root), chosen.base):
        report.done(line)


def _compatibility(chosen: argparse.Namespace, root: Path, report: Report) -> None:
    workspace, repository = Workspace(root), Repository(root)
    check_tags(workspace, repository)
    named = [workspace.package(name) for name in chosen.packages]
    for package in named or [p for p in workspace.packages if p.ranges]:
        with tempfile.TemporaryDirectory(prefix="compatibility-") as folder:
            _try_siblings(workspace, repository, package, Path(folder), report)


def _try_siblings(
    workspace: Workspace, repository: Repository, package: Package, folder: Path, report: Report
) -> None:
    siblings = trials.collect(workspace, repository, package, folder)
    built = building.build(package, folder / "dist", repository.time_of("HEAD"))
    for number, trial in enumerate(trials.trials(package, built, siblings, folder)):
        report.starts(f"{package.name}, {trial}{report.of_checkout(siblings)}")
        trials.run_trial(built, siblings, trial, folder / f"trial-{number}")


def _build_tag(chosen: argparse.Namespace, root: Path, report: Report) -> None:
    repository = Repository(root)
    name, version = parse_tag(chosen.tag)
    with tempfile.TemporaryDirectory(prefix="build-tag-") as folder:
        package = Workspace(repository.export(chosen.tag, Path(folder) / "tag")).package(name)
        if package.version() != version:
            raise RefusalError(f"the tag says {version}, and its commit is {package.version()}")
        built = building.build_twice(repository, chosen.tag, name, Path(folder))
        checks.check_metadata(built)
        checks.check_contents(package, built)
        checks.check_wheel_of_sdist(built, Path(folder) / "again", repository.time_of(chosen.tag))
        chosen.folder.mkdir(parents=True, exist_ok=True)
        for path in built.files:
            shutil.copy(path, chosen.folder)
    report.done(f"{chosen.tag} is in {chosen.folder}")
