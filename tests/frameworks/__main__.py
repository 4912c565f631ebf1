"""The command line: which suites are run, and what came of it."""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.frameworks.comparing import Compared, compare, confirmed
from tests.frameworks.running import OURS, run_on_both
from tests.frameworks.sources import CannotFetchError, default_cache, fetch
from tests.frameworks.suites import SUITES, Suite

DESCRIPTION = """
Runs the tests of Django, Flask, Channels, Daphne and OpenTelemetry's instrumentation of ASGI and
Django, from their source distributions on the package index, on asgiref and on these packages. Ends
with 1 if a test that passes on asgiref does not pass on these packages, twice, or if a run has not
come to its end.
"""
# Several times what they take on two cores: seconds, for both libraries together.
LIMIT = 1200
QUICK_LIMIT = 120
# Room for every column where the output is no terminal, and rich would assume 80.
WIDTH = 120
LINES_OF_DETAIL = 5


def main(arguments: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> int:
    """Run what the arguments say, and return the exit code."""
    parser = _parser(suites)
    options = parser.parse_args(arguments)
    console = _wide_console()
    found = []
    for suite in suites:
        if options.suite and suite.name not in options.suite:
            continue
        if options.quick and suite.quick is None:
            continue
        console.print(f"{suite.name} ...")
        try:
            found.append(_run(suite, options))
        except CannotFetchError as error:
            console.print(str(error), markup=False)
            return 1
    _show(found, console)
    return 0 if all(compared.is_good for compared in found) else 1


def _run(suite: Suite, options: argparse.Namespace) -> Compared:
    if not suite.is_supported():
        needed = ".".join(map(str, suite.python))
        return Compared(suite.name, remark=f"needs Python {needed}")
    tree = fetch(suite.requirement, options.cache, reuse=options.quick)
    if not suite.has_tests(tree):
        return Compared(tree.name, remark="has no tests in its source distribution")
    limit = QUICK_LIMIT if options.quick else LIMIT

    def attempt() -> Compared:
        return compare(tree.name, run_on_both(suite, tree, limit, quick=options.quick))

    compared = attempt()
    if not compared.worse or compared.troubles:
        return compared
    # Some tests of frameworks measure time, and fail where the machine halts for a moment.
    return confirmed(compared, attempt())


def _parser(suites: Sequence[Suite]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hatch run frameworks:test", description=DESCRIPTION)
    add = parser.add_argument
    names = [suite.name for suite in suites]
    add("--suite", nargs="+", choices=names, metavar="SUITE", help=f"of {', '.join(names)}")
    add(
        "--quick",
        action="store_true",
        help="the tests that take no time, of what has been fetched before if anything has",
    )
    add(
        "--cache",
        type=Path,
        default=default_cache(),
        help="the folder for source distributions; usually %(default)s",
    )
    return parser


# What is shown


def _wide_console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False, soft_wrap=True)


def _show(found: Sequence[Compared], console: Console) -> None:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    table = Table(box=SIMPLE_HEAD, title=python, title_justify="left")
    table.add_column("tests of")
    table.add_column("on")
    for name in ("run", "passed", "failed", "skipped", "seconds", "pass on asgiref only"):
        table.add_column(name, justify="right")
    for compared in found:
        _add_rows(table, compared)
    console.print(table)
    for compared in found:
        _show_tests(compared, console)


def _add_rows(table: Table, compared: Compared) -> None:
    if not compared.ran:
        table.add_row(compared.name, compared.remark)
    for library, ran in compared.ran.items():
        table.add_row(
            compared.name,
            library,
            str(len(ran.outcomes)),
            *(str(ran.count(outcome)) for outcome in ("passed", "failed", "skipped")),
            f"{ran.seconds:.1f}",
            str(len(compared.worse)) if library == OURS else "",
        )


def _show_tests(compared: Compared, console: Console) -> None:
    for library, ran in compared.ran.items():
        console.print(f"{compared.name} on {library}: bridge from {ran.bridge}", markup=False)
    for library, trouble in compared.troubles.items():
        console.print(f"{compared.name} on {library}: {trouble}", markup=False)
    for test, outcome in compared.better.items():
        console.print(f"{compared.name}: passes on ours only ({outcome}): {test}", markup=False)
    for test in compared.unsteady:
        console.print(f"{compared.name}: passes on ours in one of two runs: {test}", markup=False)
    for test, outcome in compared.worse.items():
        console.print(
            f"{compared.name}: passes on asgiref, {outcome} on ours: {test}", markup=False
        )
        detail = compared.ran[OURS].details.get(test, "").strip().splitlines()
        console.print("\n".join(detail[-LINES_OF_DETAIL:]), markup=False)


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)
