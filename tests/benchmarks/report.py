"""What a run has found, as a table for people and as JSON for programs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.benchmarks.load import cores
from tests.benchmarks.resources import Growth
from tests.benchmarks.rows import OURS
from tests.benchmarks.runner import Effort, Figure, Measurement
from tests.benchmarks.statistics import Verdict

PEERS = ("asgiref", "anyio", "a2wsgi", "uvicorn", "gunicorn")
STYLES = {Verdict.KEPT: "green", Verdict.WITHIN_NOISE: "yellow", Verdict.MISSED: "bold red"}
# Room for every column where the output is no terminal, and rich would assume 80.
WIDTH = 150


@dataclass
class Results:
    """All that one run has measured."""

    effort: Effort
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Of others: idle rows that were measured on a machine that is not idle say so.
    load_average: float = field(default_factory=lambda: psutil.getloadavg()[0])
    measurements: list[Measurement] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)

    @property
    def missed(self) -> int:
        """How many bars are missed, growing resources included."""
        figures = [figure for found in self.measurements for figure in found.figures]
        return sum(f.verdict is Verdict.MISSED for f in figures) + sum(
            growth.is_too_much for growth in self.growths
        )


def python_name() -> str:
    """Return the running Python as it is written in names of files."""
    return f"py{sys.version_info.major}.{sys.version_info.minor}"


def file_stem(results: Results) -> str:
    """Return the name, without suffix, of the files of a run."""
    return f"{python_name()}-{results.started:%Y%m%dT%H%M%SZ}"


def heading(results: Results) -> str:
    """Return lines on Python, the machine and how was measured."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    peers = ", ".join(f"{name} {number}" for name, number in _peers().items())
    effort = f"{results.effort.repeats} repeats of {results.effort.seconds * 1e3:.0f} ms"
    when = f"{results.started:%Y-%m-%d %H:%M} UTC, load average {results.load_average:.1f}"
    return f"{python}, {_machine()}\n{peers}\n{effort}; {when}"


def _peers() -> dict[str, str]:
    # gunicorn is not made for Windows.
    return {name: version(name) for name in PEERS if find_spec(name)}


def _machine() -> str:
    return f"{_processor()}, {cores()} cores, {platform.system()} {platform.release()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# The tables


def wide_console() -> Console:
    """Return where the tables go."""
    output = Console()
    return output if output.is_terminal else Console(width=WIDTH)


def show(results: Results, output: Console) -> None:
    """Print the tables, and how many bars are missed."""
    output.print(heading(results), highlight=False)
    if results.measurements:
        output.print(_table_of_figures(results.measurements))
    if results.growths:
        output.print(_table_of_growths(results.growths))
    text = f"{results.missed} missed" if results.missed else "No bar is missed."
    output.print(text, style=STYLES[Verdict.MISSED if results.missed else Verdict.KEPT])


def _table_of_figures(measurements: Iterable[Measurement]) -> Table:
    caption = "ratio: of the time (or memory) of ours to the peer's, also where req/s are shown"
    table = Table(box=SIMPLE_HEAD, caption=caption, caption_justify="left")
    table.add_column("load")
    table.add_column("work", no_wrap=True)
    for name in ("ours", "peer's", "unit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    for name in ("ratio", "95% interval", "at most"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for measurement in measurements:
        _add_figures(table, measurement)
    return table


def _add_figures(table: Table, measurement: Measurement) -> None:
    medians, unit = measurement.medians(), measurement.row.unit
    first = (measurement.load, measurement.row.name, _short(medians[OURS]))
    figures = measurement.figures
    for figure in figures:
        peer = figure.bar.peer
        bar = figure.bar.at_most
        of_peer = _short(medians[peer]) if peer else ""
        table.add_row(
            *(first if figure is figures[0] else ("", "", "")),
            of_peer,
            unit.name,
            peer or "",
            _short(figure.estimate.value) + ("x" if peer else f" {unit.name}"),
            f"{_short(figure.estimate.low)} - {_short(figure.estimate.high)}",
            _short(bar) if bar is not None else "",
            Text(figure.verdict.value, style=STYLES.get(figure.verdict, "")),
        )


def _table_of_growths(growths: Iterable[Growth]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("resources of a process", "what"):
        table.add_column(name)
    for name in ("after the first", "after all", "may grow by"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    work = None
    for growth in growths:
        verdict = Verdict.MISSED if growth.is_too_much else Verdict.KEPT
        numbers = (growth.before, growth.after, growth.tolerance)
        table.add_row(
            growth.work if growth.work != work else "",
            growth.what,
            *(_bytes(n) if growth.what == "memory" else str(n) for n in numbers),
            Text(verdict.value, style=STYLES[verdict]),
        )
        work = growth.work
    return table


def _short(number: float) -> str:
    if number >= 100:
        return f"{number:,.0f}"
    return (
        f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number >= 0.1 else f"{number:.3f}"
    )


def _bytes(number: int) -> str:
    return f"{number / 2**20:.1f} MiB"


# JSON


def as_json(results: Results) -> dict[str, Any]:
    """Return all results, with all samples, as what `json` writes."""
    return {
        "python": sys.version,
        "machine": _machine(),
        "peers": _peers(),
        "started": results.started.isoformat(),
        "load_average": results.load_average,
        "effort": asdict(results.effort),
        "rows": [_row_as_json(measurement) for measurement in results.measurements],
        "resources": [
            asdict(growth) | {"is_too_much": growth.is_too_much} for growth in results.growths
        ],
        "missed": results.missed,
    }


def _row_as_json(measurement: Measurement) -> dict[str, Any]:
    row = measurement.row
    return {
        "name": row.name,
        "group": row.group,
        "load": measurement.load,
        "unit": row.unit.name,
        "medians": measurement.medians(),
        "figures": [_figure_as_json(figure) for figure in measurement.figures],
        "samples": measurement.samples,
    }


def _figure_as_json(figure: Figure) -> dict[str, Any]:
    return asdict(figure.estimate) | asdict(figure.bar) | {"verdict": figure.verdict.name}
