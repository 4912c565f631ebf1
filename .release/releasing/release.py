"""The release of one package, from the checks to the tag, in the order in which it happens."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from releasing import building, checks, trials
from releasing.building import Built
from releasing.commands import at_once, run_shown
from releasing.environments import Environment
from releasing.errors import RefusalError
from releasing.git import Repository
from releasing.plan import Plan, check_checkout, make_plan
from releasing.report import Report
from releasing.staging import Staging, build_changelog
from releasing.trials import Siblings
from releasing.workspace import Package, Workspace


@dataclass(frozen=True)
class Options:
    """How a release is made."""

    dry_run: bool = False
    # Where the sdist and the wheel go, if anywhere.
    dist: Path | None = None
    # What tests the repository, and whether the package's own tests are run from the sdist.
    # By two processes: half of the time is waiting.
    suite: Sequence[str] = ("hatch", "test", "--", "tests", "-n", "2", "--dist", "loadfile")
    own_tests: bool = True


def release(root: Path, name: str, request: str, options: Options, report: Report) -> Plan:
    """Release a package.

    Args:
        root: The checkout.
        name: The package.
        request: `patch`, `minor`, `major` or `X.Y.Z`.
        options: How.
        report: Is told each step.

    Raises:
        RefusalError: Something is not as it must be; the checkout is as it was.
    """
    repository = Repository(root)
    check_checkout(repository)
    _check_suite(options)
    plan = make_plan(Workspace(root), repository, name, request)
    report.plan(plan)
    if plan.to_precede and not options.dry_run:
        first = ", ".join(str(r) for r in plan.to_precede)
        raise RefusalError(f"release the sibling first: {first}, and no release of it is that")
    with tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True) as folder:
        staging = Staging.create(repository, Path(folder) / "clone")
        _Attempt(plan, options, report, staging, Path(folder)).make()
    return plan


def _check_suite(options: Options) -> None:
    program = options.suite[0]
    # Found otherwise after minutes only, such as by `python -m hatch` without `hatch` on the path.
    if not shutil.which(program, path=_environment_of_hatch(Path())["PATH"]):
        raise RefusalError(f"the tests are run by {program}, which is not on the PATH")


@dataclass(frozen=True)
class _Attempt:
    """A release that is being made in a clone."""

    plan: Plan
    options: Options
    report: Report
    staging: Staging
    # For all that is made; it is thrown away.
    folder: Path

    @property
    def package(self) -> Package:
        return self.staging.workspace.package(self.plan.package.name)

    def make(self) -> None:
        message = f"{self.package.name} {self.plan.version}\n\n{self.write_news()}\n"
        commit = self.staging.commit(self.package, message)
        built = self.build(commit)
        siblings = trials.collect(
            self.staging.workspace, self.staging.clone, self.package, self.folder / "siblings"
        )
        self.try_installed(built, siblings)
        if self.options.dry_run:
            self.report.tests_left_out(self.options)
            self.report.built(built)
            self.report.not_made(self.plan)
            return
        self.test(built, siblings)
        self.staging.tag(self.plan.tag, commit, message)
        self.staging.land(self.plan.tag, commit)
        self.report.built(built)
        self.report.made(self.plan, self.staging.branch)
        self.keep(built)

    def write_news(self) -> str:
        self.package.set_version(self.plan.version)
        today = datetime.now(UTC).date().isoformat()
        version = str(self.plan.version)
        news = build_changelog(self.staging.workspace, self.package, version, today)
        self.report.changelog(news)
        return news

    def build(self, commit: str) -> Built:
        clone = self.staging.clone
        built = building.build_twice(clone, commit, self.package.name, self.folder / "build")
        self.report.done("built twice, to the same bytes")
        epoch, unpacked = clone.time_of(commit), self.folder / "unpacked"
        at_once(
            lambda: checks.check_metadata(built),
            lambda: checks.check_contents(self.package, built),
            lambda: checks.check_wheel_of_sdist(built, unpacked, epoch),
        )
        self.report.done("metadata and contents are right; the sdist gives the same wheel")
        return built

    def try_installed(self, built: Built, siblings: Siblings) -> None:
        environment = Environment.create(self.folder / "empty")
        environment.install_from(siblings.wheels, built.wheel)
        environment.check()
        scripts = self.staging.clone.root / "tests" / "packaging" / "smoke"
        environment.run("-W", "error", scripts / f"{self.package.import_name}.py")
        where = self.report.of_checkout(siblings)
        self.report.done(f"the wheel works in an empty environment{where}")

    def test(self, built: Built, siblings: Siblings) -> None:
        suite = self.options.suite
        self.report.starts(f"the test suite: {' '.join(suite)}")
        run_shown(suite, self.staging.clone.root, _environment_of_hatch(self.folder / "hatch"))
        if not self.options.own_tests:
            return
        for number, trial in enumerate(trials.trials(self.package, built, siblings, self.folder)):
            where = self.report.of_checkout(siblings)
            self.report.starts(f"its own tests, from the sdist, {trial}{where}")
            trials.run_trial(built, siblings, trial, self.folder / f"trial-{number}")

    def keep(self, built: Built) -> None:
        if not (folder := self.options.dist):
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in built.files:
                shutil.copy(path, folder)
        except OSError as error:
            again = f"hatch run build-tag {self.plan.tag} FOLDER"
            raise RefusalError(
                f"the release is made, but its files are not in {folder}: {error}. To make them"
                f" again: {again}"
            ) from None


def _environment_of_hatch(data: Path) -> Mapping[str, str]:
    """For a hatch that is started by a program that hatch started, with fresh environments."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith("HATCH_") and k != "VIRTUAL_ENV"
    }
    own = {str(Path(sys.prefix) / folder) for folder in ("bin", "Scripts")}
    path = [folder for folder in kept.get("PATH", "").split(os.pathsep) if folder not in own]
    return {**kept, "PATH": os.pathsep.join(path), "HATCH_DATA_DIR": str(data)}
