"""The demo keeps its promises, says so, and ends as a command should, whatever happens to it."""

from __future__ import annotations

import asyncio
import io
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "packages" / "asgi-meta" / "examples"

# The subprocess may have its warnings, tracebacks and leaks on stderr only, which is looked at.
# Not with -X dev: asyncio's debug mode writes there how slow the machine is.
PYTHON = [sys.executable, "-W", "error"]

needs_ctrl_c = pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C for one process")


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the subprocess makes its temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.fixture
def demo_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets `demo` be imported here, which replaces what Ctrl-C does."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, on_ctrl_c)


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, str(EXAMPLES / "demo"), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


def run_demo_after(preparation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in an interpreter that was prepared by some code."""
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r})\n{preparation}\n"
        f"from demo.__main__ import main\nsys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run(
        [*PYTHON, "-c", code], capture_output=True, encoding="utf-8", timeout=50, check=False
    )


@contextmanager
def started_demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*PYTHON, str(EXAMPLES / "demo"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read lines of output up to one in which the pattern is found."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no line of output has {pattern!r}")


def assert_stopped_by_ctrl_c(process: subprocess.Popen[str], temporary_folder: Path) -> None:
    _, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (130, "demo: stopped by Ctrl-C\n")
    assert list(temporary_folder.iterdir()) == []


# Takes over a second: an interpreter, uvicorn and Flask start, and a hundred requests are made.
def test_all_promises_are_kept_and_nothing_is_left(temporary_folder: Path) -> None:
    ended = run_demo()
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    for fact in (
        "all async code ran in one thread, that of the event loop",
        "both SQLite calls ran in one thread, which is another",
        "the view and the SQLite calls below it ran in one thread, which is another",
        "all 80 requests kept their ids, on every side of every crossing",
        "40 views waited at the same time, in 40 threads",
        "every byte arrived, in order",
        "each line was read before the next was written",
        "both were answered with status 500",
        "each sender had a conversation of its own, which remembered",
        "the server has ended, and its port is closed",
    ):
        assert f"\N{CHECK MARK} {fact}\n" in ended.stdout
    assert "\N{BALLOT X}" not in ended.stdout
    assert re.search(r"^All \d+ promises kept\.$", ended.stdout, re.MULTILINE)
    # As wide as a file is taken to be: boxes are whole.
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert list(temporary_folder.iterdir()) == []


# Takes over a second: the demo, once more.
def test_a_server_that_breaks_a_promise_makes_the_status_1(temporary_folder: Path) -> None:
    ended = run_demo_after(
        "import demo.chat_server\n"
        "async def forget(scope, receive, send):\n"
        "    while True:\n"
        "        text = (await receive())['text']\n"
        "        reply = f'1: {text} (you began with: {text})'\n"
        "        await send({'type': 'chat.reply', 'text': reply})\n"
        "demo.chat_server.converse = forget"
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    broken = "each sender had a conversation of its own, which remembered"
    assert f"\N{BALLOT X} {broken}" in ended.stdout
    assert re.search(rf"^1 of \d+ promises broken:\n- {broken}$", ended.stdout, re.MULTILINE)


@pytest.mark.usefixtures("demo_on_path")
class TestChecks:
    @staticmethod
    def account(encoding: str = "utf-8") -> tuple[Any, io.BytesIO]:
        from demo.account import Account  # type: ignore[import-not-found]
        from rich.console import Console

        output = io.BytesIO()
        file = io.TextIOWrapper(output, encoding=encoding, write_through=True)
        return Account(Console(file=file, width=80)), output

    def test_kept_ones_make_the_status_0(self) -> None:
        account, output = self.account()
        account.check("water is wet", True)
        assert account.verdict() == 0
        assert output.getvalue().decode() == "\N{CHECK MARK} water is wet\n\nAll 1 promises kept.\n"

    def test_a_broken_one_makes_the_status_1_and_tells_what_was_seen(self) -> None:
        account, output = self.account()
        account.check("water is wet", True)
        account.check("fire is cold", False, 451)
        assert account.verdict() == 1
        text = output.getvalue().decode()
        assert "\N{BALLOT X} fire is cold; seen: 451\n" in text
        assert text.endswith("1 of 2 promises broken:\n- fire is cold\n")

    def test_output_that_cannot_show_check_marks_gets_words(self) -> None:
        account, output = self.account("ascii")
        account.check("water is wet", True)
        account.check("fire is cold", False)
        assert output.getvalue().startswith(b"ok water is wet\nNO fire is cold")

    def test_a_section_that_fails_is_a_broken_promise_and_the_next_one_runs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from demo import drive  # type: ignore[import-not-found]

        async def fails(visit: Any) -> None:
            raise LookupError("no such thing")

        async def works(visit: Any) -> None:
            visit.account.check("the next one runs", True)

        monkeypatch.setattr(drive, "SECTIONS", (fails, works))
        account, output = self.account()
        asyncio.run(drive.drive("http://127.0.0.1", None, account))
        assert account.verdict() == 1
        text = output.getvalue().decode()
        assert "'fails' comes to its end; seen: LookupError('no such thing')" in text
        assert "\N{CHECK MARK} the next one runs" in text


# Takes over a second: an interpreter, uvicorn and Flask start, and stop in good order.
@needs_ctrl_c
def test_ctrl_c_ends_serving_with_one_line(temporary_folder: Path) -> None:
    with started_demo("--serve") as process:
        url = read_until(process, r"^Serving on (http://127\.0\.0\.1:\d+) until Ctrl-C")[1]
        answer = httpx.get(f"{url}/site/overview", trust_env=False)
        assert answer.json()["notes"] == 0
        process.send_signal(signal.SIGINT)
        assert_stopped_by_ctrl_c(process, temporary_folder)


# Takes over a second: a request that never ends is given its time, then cancelled.
@needs_ctrl_c
def test_ctrl_c_ends_a_view_that_waits_for_ever(temporary_folder: Path) -> None:
    with started_demo("--serve") as process:
        url = read_until(process, r"^Serving on (http://127\.0\.0\.1:\d+) until Ctrl-C")[1]
        with httpx.stream("GET", f"{url}/site/countdown/x", trust_env=False) as answer:
            assert next(answer.iter_text()) == "3\n"
            process.send_signal(signal.SIGINT)
            assert_stopped_by_ctrl_c(process, temporary_folder)


# Takes over a second: an interpreter, uvicorn and Flask start, and stop in good order.
@needs_ctrl_c
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_demo_with_one_line(temporary_folder: Path, times: int) -> None:
    with started_demo() as process:
        read_until(process, "^1. Async code")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        assert_stopped_by_ctrl_c(process, temporary_folder)


# Takes over a second: an interpreter starts and imports uvicorn and Flask, each time.
@pytest.mark.parametrize("arguments", [[], ["--serve"]])
def test_a_port_in_use_is_told_in_one_line(arguments: Sequence[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_demo("--port", str(port), *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(rf"demo: cannot listen on port {port}: [\w ]+\n", ended.stderr)


# May take over a second: an interpreter starts and imports all that comes before the missing one.
@pytest.mark.parametrize("module", ["flask", "httpx", "rich", "uvicorn"])
def test_a_missing_dependency_is_told_in_one_line(module: str) -> None:
    ended = run_demo_after(f"sys.modules[{module!r}] = None")
    assert (ended.returncode, ended.stdout) == (2, "")
    line = f"demo: {module} is not installed; `hatch run demo` installs what it needs\n"
    assert ended.stderr == line


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_told(port: str) -> None:
    ended = run_demo(f"--port={port}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(f"a port is a number from 0 to 65535, not '{port}'\n")
