"""The command line: what is run, under which load, and how it ends."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.benchmarks import bridge, django_projects, local, resources, served, server, wsgi
from tests.benchmarks.load import under
from tests.benchmarks.report import Results, as_json, file_stem, show, wide_console
from tests.benchmarks.rows import FULL, TINY, Row, Sizes
from tests.benchmarks.runner import Effort, measure

MODULES = (bridge, local, wsgi, server, served, django_projects)
GROUPS = (*(module.GROUP for module in MODULES), resources.GROUP)
LOADS = {
    "idle": ("idle",),
    "busy": ("busy",),
    "both": ("idle", "busy"),
    "one-core": ("one-core",),
}

FULL_EFFORT = Effort()
QUICK_EFFORT = Effort(repeats=10, seconds=0.01)
NO_EFFORT = Effort(repeats=1, seconds=0)

DESCRIPTION = """
Measures the packages against their peers, in one process and by turns, and compares the ratios with
their bars. Ends with 1 if a bar is missed by more than the noise, or if a resource has grown.
"""


def all_rows(sizes: Sizes) -> list[Row]:
    """Return the rows of all groups."""
    return [row for module in MODULES for row in module.rows(sizes)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    sizes = TINY if options.tiny else FULL
    groups = options.group or GROUPS
    rows = [r for r in all_rows(sizes) if r.group in groups and _is_chosen(r, options.row)]
    with_resources = resources.GROUP in groups and not options.row
    if options.list:
        print("\n".join(f"{row.group}: {row.name}" for row in rows))
        return 0
    if not rows and not with_resources:
        parser.error("no row is chosen; --list lists them")
    results = Results(_effort(options))
    run(results, rows, LOADS[options.load])
    if with_resources:
        for grown in resources.growths(sizes):
            results.growths += grown
    write(results, options.folder)
    return 0 if options.report_only else exit_code(results)


def run(results: Results, rows: Sequence[Row], loads: Sequence[str]) -> None:
    """Measure the rows under each load."""
    with _progress(len(rows) * len(loads)) as show_next:
        for load in loads:
            with under(load):
                for row in rows:
                    show_next(f"{load}: {row.name}")
                    results.measurements.append(measure(row, results.effort, load))


def write(results: Results, folder: Path) -> None:
    """Show the results, and write them into `folder`."""
    output = wide_console()
    show(results, output)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{file_stem(results)}.json"
    file.write_text(json.dumps(as_json(results), indent=1))
    output.print(f"Written: {file}", highlight=False)
    if (left_out := served.left_out()) is not None:
        output.print(f"Left out: {left_out}", highlight=False, markup=False)
    if results.measurements:
        # Not before: in a process that has imported matplotlib, each pass of the garbage
        # collector is longer, and so is what is measured.
        from tests.benchmarks.chart import draw

        draw(results, file.with_suffix(".svg"))
        output.print(f"Written: {file.with_suffix('.svg')}", highlight=False)


def exit_code(results: Results) -> int:
    """Return 1 if anything is missed by more than the noise, else 0."""
    return 1 if results.missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hatch run bench:run", description=DESCRIPTION)
    add = parser.add_argument
    add("--group", nargs="+", choices=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    add("--row", nargs="+", metavar="PATTERN", help="rows whose names match, such as '*get*'")
    add("--list", action="store_true", help="list the rows that are chosen, and do nothing")
    add(
        "--load",
        choices=LOADS,
        default="both",
        help="of the rows; busy: a busy process for each core; one-core: all threads share one",
    )
    add("--repeats", type=int, help=f"for each variant of a row, usually {FULL_EFFORT.repeats}")
    add("--quick", action="store_true", help="fewer and shorter repeats, and so more noise")
    add("--report-only", action="store_true", help="end with 0 whatever is missed")
    add("--tiny", action="store_true", help="no more than shows that every row runs")
    add("--folder", type=Path, default=Path(".benchmarks"), help="for the JSON and SVG files")
    return parser


def _effort(options: argparse.Namespace) -> Effort:
    effort = NO_EFFORT if options.tiny else QUICK_EFFORT if options.quick else FULL_EFFORT
    return Effort(options.repeats or effort.repeats, effort.seconds)


def _is_chosen(row: Row, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    # Drawn between rows only, or a thread would draw it during the measurements.
    console = Console(stderr=True)
    with Progress(console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=total)
        started = 0

        def show_next(description: str) -> None:
            nonlocal started
            progress.update(task, description=description, completed=started, refresh=True)
            started += 1

        yield show_next


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)
