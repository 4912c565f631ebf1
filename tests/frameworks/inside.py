"""Runs the tests of a framework in this process, and reports how each of them ended.

Started by `running.py`, as it is or by `python -m asgi_meta run`; its argument is an `Order` as
JSON. Before the tests and after them it looks where the framework's bridge comes from, and ends
with an error, and without a report, if that is not the library that was to be tested.

It imports nothing of this repository, and asgiref only as the framework would find it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import runpy
import sys
import time
import unittest
from pathlib import Path
from typing import Any

BRIDGE = ["asgiref.sync:sync_to_async", "asgiref.sync:async_to_sync", "asgiref.local:Local"]

outcomes: dict[str, str] = {}
details: dict[str, str] = {}


def record(test: str, outcome: str, detail: str = "") -> None:
    """Note how a test ended: failed, if any part of it has."""
    if outcomes.get(test) != "failed":
        outcomes[test] = outcome
    if detail:
        details[test] = detail


# unittest's


class RecordingResult(unittest.TextTestResult):
    """A result that notes how each test ended."""

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        record(test.id(), "passed")

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        record(test.id(), "skipped")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        record(test.id(), "passed")

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        record(test.id(), "failed", "unexpected success")

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        record(test.id(), "failed", self.failures[-1][1])

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        record(test.id(), "failed", self.errors[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            record(test.id(), "failed", f"{subtest.id()}: {err[1]!r}")


def run_script(script: str, arguments: list[str]) -> None:
    runner: Any = unittest.TextTestRunner
    runner.resultclass = RecordingResult
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).resolve().parent)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit:
        # Its status says no more than the outcomes.
        pass


# pytest's


class Recording:
    """A plugin that notes how each test ended."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            record(report.nodeid, report.outcome, report.longreprtext if report.failed else "")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            record(report.nodeid, "failed", report.longreprtext)


def run_pytest(arguments: list[str]) -> None:
    import pytest

    status = pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[Recording()])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.exit(f"pytest has ended with {status!r}.")


# The proof


def file_of(thing: Any) -> Path:
    return Path(inspect.getfile(inspect.unwrap(thing))).resolve()


def prove_library(folders: list[str], names: list[str]) -> None:
    """End with an error unless all names, as `module:attribute`, are of the library in folders."""
    for name in names:
        module, _, attribute = name.partition(":")
        file = file_of(getattr(importlib.import_module(module), attribute))
        if not any(file.is_relative_to(folder) for folder in folders):
            sys.exit(f"{name} comes from {file}; what is to be tested is in {folders}.")


def prove_package(package: str, tree: str) -> None:
    file = Path(importlib.import_module(package).__file__ or "").resolve()
    if not file.is_relative_to(tree):
        sys.exit(f"{package} comes from {file}, and what was fetched is in {tree}.")


def main() -> None:
    order = json.loads(sys.argv[1])
    prove_library(order["library"], BRIDGE)
    prove_package(order["package"], order["tree"])
    os.chdir(order["tree"])
    start = time.monotonic()
    if order["program"] == "pytest":
        run_pytest(order["arguments"])
    else:
        run_script(order["program"], order["arguments"])
    seconds = time.monotonic() - start
    prove_library(order["library"], [*BRIDGE, *order["witnesses"]])
    bridge = file_of(importlib.import_module("asgiref.sync").SyncToAsync)
    report = {"bridge": str(bridge), "seconds": seconds, "outcomes": outcomes, "details": details}
    Path(order["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
