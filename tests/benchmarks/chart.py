"""The ratios of a run and their bars, drawn."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tests.benchmarks.report import Results, heading
from tests.benchmarks.runner import Figure, Measurement
from tests.benchmarks.statistics import Verdict

COLOURS = {
    Verdict.KEPT: "tab:green",
    Verdict.WITHIN_NOISE: "tab:orange",
    Verdict.MISSED: "tab:red",
    Verdict.NOT_JUDGED: "tab:gray",
}
MARKERS = {"idle": "o", "busy": "s", "one-core": "^"}
INCHES_PER_LINE = 0.24


def draw(results: Results, file: Path) -> None:
    """Write the ratios as an SVG: a point with its interval, and a stroke for its bar."""
    lines = [
        (measurement, figure)
        for measurement in results.measurements
        for figure in measurement.figures
        if figure.bar.peer is not None
    ]
    drawing = Drawing(figsize=(11, 1.6 + INCHES_PER_LINE * len(lines)), layout="constrained")
    axes = drawing.subplots()
    for height, (measurement, figure) in enumerate(lines):
        _draw_line(axes, height, measurement, figure)
    axes.set_yticks(range(len(lines)), [_label(*line) for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.5)
    axes.grid(axis="x", which="both", linewidth=0.2)
    axes.set_xlabel("ours / peer (o idle, square busy, triangle one core; stroke: the bar)")
    axes.set_title(heading(results), loc="left", fontsize=8)
    drawing.savefig(file)


def _draw_line(axes: Axes, height: int, measurement: Measurement, figure: Figure) -> None:
    estimate = figure.estimate
    axes.errorbar(
        estimate.value,
        height,
        # An interval of draws need not hold the value of the whole; a bar cannot be negative.
        xerr=[[max(0, estimate.value - estimate.low)], [max(0, estimate.high - estimate.value)]],
        fmt=MARKERS[measurement.load],
        markersize=4,
        color=COLOURS[figure.verdict],
    )
    if figure.bar.at_most is not None:
        axes.plot(figure.bar.at_most, height, marker="|", markersize=11, color="black")


def _label(measurement: Measurement, figure: Figure) -> str:
    return f"{measurement.row.name} / {figure.bar.peer} ({measurement.load})"
