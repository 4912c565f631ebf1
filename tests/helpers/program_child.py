"""The child process that programs are run in: what hangs or crashes there is found here.

The child gets requests from its standard input and answers on its standard output, both as
pickles. One that does not come to an end within the limit is ended by the child itself, which
writes the stacks of all threads and tasks to its standard error first.
"""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgi_sync import _stalls, sync_to_async
from helpers.program_interpreter import Interpreter
from helpers.program_recorder import Recorder
from helpers.program_records import Observed, describe_error
from helpers.programs import Program

# Calls that can never run are found sooner than in a real program.
_stalls.LOOK_SECONDS = 0.01

# What is logged comes at once, or never: how long is waited for what must be logged.
LOG_SECONDS = 5


@dataclass(frozen=True)
class Request:
    """Run a program, at a thread switch interval, and end it after a number of seconds.

    Some errors may be logged a little after the program has ended: `errors_to_log` are
    waited for.
    """

    program: Program
    switch_interval: float
    errors_to_log: int
    limit: float


class ProgramRunner:
    """Runs programs in a child process, which is replaced when it has hung or died.

    A hang is reported by AssertionError, with what the child has written to the file `stderr`.
    The first program that hangs has all the time that it may need on a slow machine; those
    after it, which are tried to find a smaller one, have less.
    """

    FIRST_LIMIT = 60.0
    NEXT_LIMIT = 5.0

    def __init__(self, stderr: Path) -> None:
        self._limit = self.FIRST_LIMIT
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr = stderr

    def __enter__(self) -> ProgramRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_child()

    def run(self, program: Program, switch_interval: float, errors_to_log: int) -> Observed:
        """Run a program and return what has happened."""
        if self._child is None:
            self._child = self._start()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        request = Request(program, switch_interval, errors_to_log, self._limit)
        try:
            pickle.dump(request, self._child.stdin)
            self._child.stdin.flush()
            answer: Observed = pickle.load(self._child.stdout)
        except (EOFError, BrokenPipeError):
            self._limit = self.NEXT_LIMIT
            raise AssertionError(f"the program has not ended well:\n{self.end_child()}") from None
        return answer

    def end_child(self) -> str:
        """End the child, and return what it has written to its standard error."""
        child, self._child = self._child, None
        if child is None:
            return ""
        # It ends at the end of its input. Far more than it needs for that.
        killer = threading.Timer(self.FIRST_LIMIT, child.kill)
        killer.start()
        try:
            child.communicate()
        finally:
            killer.cancel()
        status = f"exit status {child.returncode}\n" if child.returncode else ""
        return status + self._stderr.read_text(errors="replace")

    def _start(self) -> subprocess.Popen[bytes]:
        code = "from helpers.program_child import serve; serve()"
        with self._stderr.open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-W", "error", "-c", code],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )


# In the child


def serve() -> None:
    """Run the programs that come from standard input, until that ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # Nothing that is printed may get into the answers.
    sys.stdout = sys.stderr
    # The shared thread is one of the pool's until it is first needed, and then for ever.
    asyncio.run(sync_to_async(gc.collect)())
    # What calls that were left behind log between two programs is not to be printed.
    logging.getLogger("asgi_sync").addHandler(logging.NullHandler())
    while True:
        try:
            request: Request = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(_run(request), answers)
        answers.flush()


def _run(request: Request) -> Observed:
    observed = Observed()
    recorder = Recorder(observed)
    usual_interval = sys.getswitchinterval()
    sys.setswitchinterval(request.switch_interval)
    alarm = _Alarm(request.limit)
    try:
        with _Reports(recorder.name, observed) as reports:
            contextvars.Context().run(Interpreter(request.program, recorder).run)
            reports.wait(request.errors_to_log)
            del recorder
            gc.collect()
    finally:
        alarm.cancel()
        sys.setswitchinterval(usual_interval)
    return observed


class _Reports(logging.Handler):
    """Collects what is logged and what nobody could be told of while a program runs."""

    def __init__(self, name: str, observed: Observed) -> None:
        super().__init__(logging.WARNING)
        self._name = name
        self._observed = observed
        self._has_logged = threading.Condition()

    def __enter__(self) -> _Reports:
        logging.getLogger().addHandler(self)
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._unraisable
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        sys.unraisablehook = sys.__unraisablehook__
        threading.excepthook = threading.__excepthook__

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.name != "asgi_sync" or record.exc_info is None:
            self._observed.problems.append(f"logged: {message} {record.exc_info}")
        # A call that an earlier program has left behind may log its error only now.
        elif self._name in message:
            with self._has_logged:
                self._observed.logged[describe_error(record.exc_info[1])] += 1
                self._has_logged.notify_all()

    def wait(self, number: int) -> None:
        """Wait until a number of errors has been logged, but not for ever."""
        with self._has_logged:
            self._has_logged.wait_for(lambda: self._observed.logged.total() >= number, LOG_SECONDS)

    def _unraisable(self, report: Any) -> None:
        self._observed.problems.append(f"raised where nobody could take it: {report}")


class _Alarm:
    """Ends the process after some seconds, and writes what all are waiting for.

    Should no Python code be able to run any more, it is ended without the tasks.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()
        faulthandler.dump_traceback_later(2 * seconds, exit=True)

    def cancel(self) -> None:
        self._timer.cancel()
        faulthandler.cancel_dump_traceback_later()

    def _ring(self) -> None:
        faulthandler.dump_traceback()
        for found in gc.get_objects():
            if isinstance(found, asyncio.Task) and not found.done():
                found.print_stack(file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
