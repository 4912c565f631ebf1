"""Runs a suite on both libraries at once, each in a child process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from tests.frameworks.suites import Suite

ASGIREF = "asgiref"
OURS = "ours"
INSIDE = str(Path(__file__).with_name("inside.py"))

# The command that has a program find these packages where it looks for asgiref.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    ASGIREF: (INSIDE,),
    OURS: ("-m", "asgi_meta", "run", INSIDE),
}
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    ASGIREF: ("asgiref",),
    OURS: ("asgi_local", "asgi_meta", "asgi_server", "asgi_sync", "asgi_wsgi"),
}

# What would let the one that runs this have a say in what a framework's tests do.
NOT_PASSED_ON = ("DJANGO_SETTINGS_MODULE", "PYTHONWARNINGS", "PYTEST_ADDOPTS")


@dataclass(frozen=True)
class Order:
    """What a child process is to do: see `inside.py`."""

    library: list[str]
    package: str
    tree: str
    program: str
    arguments: list[str]
    witnesses: list[str]
    report: str


@dataclass(frozen=True)
class Ran:
    """The tests of a suite on one library.

    Attributes:
        seconds: That the tests took.
        bridge: The file that the bridge came from, as the child process saw it.
        outcomes: "passed", "failed" or "skipped", by test.
        details: What there is to say about tests that failed.
        trouble: Why the process has not come to its end, with the last of its output.
    """

    seconds: float = 0.0
    bridge: str = ""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return sum(found == outcome for found in self.outcomes.values())


def run_on_both(suite: Suite, tree: Path, limit: float, *, quick: bool) -> dict[str, Ran]:
    """Run a suite on both libraries at the same time, for a limited number of seconds."""
    with contextlib.ExitStack() as stack:
        children = {
            library: stack.enter_context(_started(suite, tree, library, quick=quick))
            for library in COMMANDS
        }
        end = time.monotonic() + limit
        return {
            name: child.result(max(0.0, end - time.monotonic())) for name, child in children.items()
        }


def folders_of(library: str) -> list[str]:
    """Return where the packages of a library are installed, by the name of the library."""
    found = []
    for package in LIBRARIES[library]:
        spec = find_spec(package)
        assert spec is not None, f"{package} is not installed"
        found += [str(Path(folder).resolve()) for folder in spec.submodule_search_locations or []]
    return found


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    folder: Path

    def result(self, limit: float) -> Ran:
        trouble = self._wait(limit)
        report = self.folder / "report.json"
        found = json.loads(report.read_text()) if report.exists() else {}
        if not found and not trouble:
            trouble = "ended without a report"
        if trouble:
            trouble += "\n" + (self.folder / "output.txt").read_text(errors="replace")[-4000:]
        return Ran(**found, trouble=trouble)

    def _wait(self, limit: float) -> str:
        """Wait for its end. One that is bad counts also after the report: so ends a program."""
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return "did not end within the limit of time"
        return f"ended with status {status}" if status else ""

    def kill(self) -> None:
        """End the process and those that it has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid)
            for process in [*family.children(recursive=True), family]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@contextlib.contextmanager
def _started(suite: Suite, tree: Path, library: str, *, quick: bool) -> Iterator[_Child]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        order = Order(
            library=folders_of(library),
            package=suite.package,
            tree=str(tree.resolve()),
            program=suite.program,
            arguments=list(suite.arguments_for(quick=quick)),
            witnesses=list(suite.witnesses),
            report=str(folder / "report.json"),
        )
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *COMMANDS[library], json.dumps(asdict(order))],
                env=_environment(tree / suite.sources, folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        child = _Child(process, folder)
        with process:
            try:
                yield child
            finally:
                child.kill()


def _environment(sources: Path, temporary: Path) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name not in NOT_PASSED_ON}
    (temporary / "tmp").mkdir()
    return {**inherited, "PYTHONPATH": str(sources.resolve()), "TMPDIR": str(temporary / "tmp")}
