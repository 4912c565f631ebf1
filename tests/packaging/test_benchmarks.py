"""The benchmarks themselves: the statistics, the exit code, the load, and that every row runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks import django_projects, served
from tests.benchmarks.__main__ import GROUPS, LOADS, all_rows, exit_code, run
from tests.benchmarks.chart import MARKERS
from tests.benchmarks.http_load import Load, has_wrk, parsed_report
from tests.benchmarks.load import busy_cores, one_core
from tests.benchmarks.report import Results
from tests.benchmarks.resources import MEMORY_TOLERANCE, WORK, Usage, compare
from tests.benchmarks.rows import (
    FULL,
    MILLISECONDS,
    OURS,
    REQUESTS_PER_SECOND,
    TINY,
    Bar,
    Row,
    Sampler,
)
from tests.benchmarks.runner import Effort, measure, order_of
from tests.benchmarks.statistics import (
    Estimate,
    Verdict,
    judge,
    median_with_interval,
    ratio_of_medians,
)

ROOT = Path(__file__).parents[2]


# Statistics


def test_the_ratio_is_that_of_the_medians():
    assert ratio_of_medians([3, 1, 100], [2, 6, 7]).value == 3 / 6


def test_samples_without_spread_have_an_interval_without_width():
    assert ratio_of_medians([2] * 9, [4] * 9) == Estimate(0.5, 0.5, 0.5)
    assert median_with_interval([2] * 9) == Estimate(2, 2, 2)


def test_what_slows_all_variants_of_a_round_down_is_no_noise():
    slowness = [1, 5, 2, 30, 1, 7, 1]
    estimate = ratio_of_medians([3 * slow for slow in slowness], [4 * slow for slow in slowness])
    assert estimate == Estimate(0.75, 0.75, 0.75)


def test_what_slows_one_variant_down_is_noise():
    estimate = ratio_of_medians([1, 2, 1, 3, 1, 2, 1, 2, 3], [1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert estimate.low == 1
    assert estimate.value == 2
    assert 2 <= estimate.high <= 3


def test_more_rounds_narrow_the_interval():
    few = median_with_interval([1, 2, 3, 4, 5])
    many = median_with_interval([1, 2, 3, 4, 5] * 40)
    assert many.high - many.low < few.high - few.low


def test_the_same_samples_have_the_same_interval():
    samples = [1, 5, 2, 4, 9, 3, 3]
    assert median_with_interval(samples) == median_with_interval(samples)


def test_samples_that_are_not_of_the_same_rounds_are_refused():
    with pytest.raises(ValueError, match="2 samples cannot be paired with 3"):
        ratio_of_medians([1, 2], [1, 2, 3])


def test_without_samples_there_is_no_figure():
    with pytest.raises(ValueError, match="no samples"):
        median_with_interval([])


@pytest.mark.parametrize(
    ("estimate", "at_most", "verdict"),
    [
        (Estimate(0.9, 0.8, 1.0), 0.9, Verdict.KEPT),
        (Estimate(0.9, 0.8, 1.0), 0.8, Verdict.WITHIN_NOISE),
        (Estimate(0.9, 0.8, 1.0), 0.79, Verdict.MISSED),
        (Estimate(0.9, 0.8, 1.0), None, Verdict.NOT_JUDGED),
    ],
)
def test_a_bar_is_missed_only_where_the_whole_interval_is_above(estimate, at_most, verdict):
    assert judge(estimate, at_most) is verdict


# Measuring


def row(bar: Bar, number: int | None = None, **samplers: Sampler) -> Row:
    @contextlib.contextmanager
    def variants() -> Iterator[dict[str, Sampler]]:
        yield samplers

    return Row("a row", "a group", variants, (bar,), number=number)


def costs(*seconds: float) -> Sampler:
    """A sampler to which one operation costs this much, the last one from then on."""
    left = list(seconds)
    return lambda number: number * (left.pop(0) if len(left) > 1 else left[0])


def test_variants_take_turns_so_that_each_is_at_each_place_and_after_each_other():
    orders = [order_of(turn, ["A", "B", "C"]) for turn in range(6)]
    assert [" ".join(order) for order in orders] == [
        "A B C", "C B A", "B C A", "A C B", "C A B", "B A C",
    ]  # fmt: skip


def test_a_repeat_is_as_many_operations_as_fill_its_time():
    numbers = []

    def sampler(number: int) -> float:
        numbers.append(number)
        return number * 0.001

    found = measure(row(Bar(None), ours=sampler), Effort(repeats=5, seconds=0.02), "idle")
    assert numbers[-5:] == [20] * 5
    assert found.samples == {OURS: [0.001] * 5}


def test_slow_work_is_repeated_as_often_as_its_row_says():
    numbers = []

    def sampler(number: int) -> float:
        numbers.append(number)
        return 3.0

    slow = row(Bar(None), number=2, ours=sampler)
    assert measure(slow, Effort(repeats=4), "idle").samples == {OURS: [1.5] * 4}
    assert numbers == [2] * 5  # the first of them warms up


# The end


def measured(*rows: Row) -> Results:
    results = Results(Effort(repeats=9, seconds=0.0))
    run(results, rows, ["idle"])
    return results


def test_a_bar_that_is_missed_by_more_than_the_noise_makes_the_exit_code_1():
    missed = row(Bar("peer", 0.5), ours=costs(3), peer=costs(4))
    assert exit_code(measured(missed)) == 1


def test_a_bar_that_is_kept_makes_the_exit_code_0():
    kept = row(Bar("peer", 0.75), ours=costs(3), peer=costs(4))
    assert exit_code(measured(kept)) == 0


def test_a_bar_that_is_missed_within_the_noise_makes_the_exit_code_0():
    noisy = row(Bar("peer", 1.5), ours=costs(1, 1, 2, 1, 3, 1, 2, 1, 2, 3), peer=costs(1))
    results = measured(noisy)
    (figure,) = results.measurements[0].figures
    assert figure.verdict is Verdict.WITHIN_NOISE
    assert exit_code(results) == 0


def test_a_bar_in_the_rows_own_unit_is_judged():
    assert exit_code(measured(row(Bar(None, 7e6), ours=costs(7)))) == 0
    assert exit_code(measured(row(Bar(None, 7e6), ours=costs(8)))) == 1


def test_a_rate_is_how_often_a_second_has_room_for_the_cost():
    assert REQUESTS_PER_SECOND.of(0.002) == 500
    assert MILLISECONDS.of(0.002) == 2


def test_the_report_of_wrk_is_read_as_seconds():
    report = '{"requests": 500, "microseconds": 1000000, "percentile_99": 7000, "errors": 0}'
    assert parsed_report(report) == Load(seconds=0.002, percentile_99=0.007)


@pytest.mark.parametrize(("requests", "errors"), [(500, 1), (0, 0)])
def test_requests_that_fail_are_no_result(requests, errors):
    report = {"requests": requests, "microseconds": 1, "percentile_99": 1, "errors": errors}
    with pytest.raises(ValueError, match="requests have failed"):
        parsed_report(json.dumps(report))


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is served there")
def test_without_wrk_its_rows_are_left_out_and_that_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not [row for row in served.rows(FULL) if "hello" in row.name]
    assert "wrk is not installed" in served.left_out()


def test_one_row_of_many_is_enough_to_fail():
    kept = row(Bar("peer", 1), ours=costs(1), peer=costs(1))
    missed = row(Bar("peer", 1), ours=costs(2), peer=costs(1))
    assert exit_code(measured(kept, missed, kept)) == 1


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (Usage(threads=2, descriptors=5, memory=1000), 0),
        (Usage(threads=1, descriptors=4, memory=1000 + MEMORY_TOLERANCE), 0),
        (Usage(threads=3, descriptors=5, memory=1000), 1),
        (Usage(threads=2, descriptors=6, memory=1000), 1),
        (Usage(threads=2, descriptors=5, memory=1001 + MEMORY_TOLERANCE), 1),
    ],
)
def test_a_resource_that_grows_makes_the_exit_code_1(after, code):
    results = Results(Effort())
    results.growths += compare("work", Usage(threads=2, descriptors=5, memory=1000), after)
    assert exit_code(results) == code


# The load

# Far more than a process takes to end.
SECONDS_TO_END = 20


def test_busy_processes_have_ended_after_an_interrupt():
    with pytest.raises(KeyboardInterrupt), busy_cores(2) as processes:
        assert all(psutil.pid_exists(process) for process in processes)
        raise KeyboardInterrupt
    assert not any(psutil.pid_exists(process) for process in processes)


def test_busy_processes_end_when_the_one_that_started_them_is_killed():
    code = """
        import sys
        from tests.benchmarks.load import busy_cores, one_core
        with busy_cores(1) as processes:
            print(*processes, flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", "if True:" + code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        busy = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    busy.wait(SECONDS_TO_END)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_on_one_core_all_threads_started_share_it_and_the_usual_ones_are_back_afterwards():
    usual = os.sched_getaffinity(0)
    with one_core(), ThreadPoolExecutor(1) as executor:
        assert len(executor.submit(os.sched_getaffinity, 0).result()) == 1
    assert os.sched_getaffinity(0) == usual


def test_every_load_has_a_marker_in_the_chart():
    assert {load for loads in LOADS.values() for load in loads} == set(MARKERS)


# Every row, once


def run_tiny(folder: Path, *groups: str) -> dict[str, Any]:
    """What `--tiny` writes: in a child, whose threads, pools and imports are its own."""
    command = ("-m", "tests.benchmarks", "--tiny", "--load", "idle", "--folder", folder)
    done = subprocess.run(
        [sys.executable, *command, "--group", *groups], cwd=ROOT, capture_output=True, text=True
    )
    written = next(folder.glob("*.json"), None)
    assert written is not None, done.stderr
    found = json.loads(written.read_text())
    assert done.returncode == (1 if found["missed"] else 0), done.stderr
    assert written.with_suffix(".svg").read_text().startswith("<?xml")
    assert f"py{sys.version_info.major}.{sys.version_info.minor}" in written.name
    return found


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    groups = [group for group in GROUPS if group != django_projects.GROUP]
    return run_tiny(tmp_path_factory.mktemp("benchmarks"), *groups)


@pytest.fixture(scope="module")
def tiny_run_of_django(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # By itself, for most of it is the start of a dozen processes.
    return run_tiny(tmp_path_factory.mktemp("benchmarks"), django_projects.GROUP)


@pytest.mark.parametrize("row", all_rows(TINY), ids=lambda row: row.name)
def test_a_row_runs_and_has_samples_of_ours_and_of_every_peer(request, row):
    is_of_django = row.group == django_projects.GROUP
    run_of_all = request.getfixturevalue("tiny_run_of_django" if is_of_django else "tiny_run")
    (found,) = (found for found in run_of_all["rows"] if found["name"] == row.name)
    peers = {figure["peer"] for figure in found["figures"]} - {None}
    assert found["samples"].keys() == peers | {OURS}
    # Of what is to be closed nothing may be left.
    is_cost = (lambda cost: cost == 0) if "open databases" in row.name else (lambda cost: cost > 0)
    assert all(is_cost(cost) for costs in found["samples"].values() for cost in costs)


@pytest.mark.skipif(not has_wrk(), reason="wrk is not installed")
@pytest.mark.parametrize("index", [0, 1], ids=["requests per second", "p99"])
def test_a_row_that_wrk_measures_runs(index):
    """Not among the others: wrk takes a second each time."""
    hello = served.rows(replace(TINY, connections=(2,)))[index]
    with hello.variants() as samplers:
        assert samplers.keys() == {OURS, *served.PEERS}
        assert 0 < samplers[OURS](1) < 1


def test_resources_are_reported_for_every_kind_of_work(tiny_run):
    assert [growth["work"] for growth in tiny_run["resources"][::3]] == list(WORK)
    assert {growth["what"] for growth in tiny_run["resources"]} == {
        "threads",
        "open files",
        "memory",
    }
