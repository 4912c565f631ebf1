"""The Django project of the examples, served by child processes."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2] / "packages" / "asgi-meta" / "examples" / "django_project"

# Far more than any of its commands takes, and less than the limit of a test.
LIMIT_SECONDS = 40

ON_OURS = ("-m", "asgi_meta", "run")
UVICORN = ("-m", "uvicorn", "project.asgi:application", "--port=0", "--no-access-log")
MANAGE = ("manage.py",)


def copy_of_project(folder: Path) -> Path:
    """Copy the project, without a database, into a folder."""
    ignored = shutil.ignore_patterns("db.sqlite3*", "__pycache__")
    return shutil.copytree(PROJECT, folder / "django_project", ignore=ignored)


@dataclass(frozen=True)
class Bank:
    """The project, and a database of its own.

    Attributes:
        folder: Of the project.
        database: The file.
        library: What comes before a command, after `python`: `ON_OURS` or nothing.
    """

    folder: Path
    database: Path
    library: tuple[str, ...] = ON_OURS

    def command(self, *arguments: str) -> str:
        """Run a command of `manage.py`, and return what it prints."""
        ended = subprocess.run(
            self._line(*MANAGE, *arguments),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return ended.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """Run a program that serves until it is told to end; its children end with it."""
        process = subprocess.Popen(
            self._line(*arguments),
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            running = Running(process)
            try:
                yield running
            finally:
                with contextlib.suppress(psutil.NoSuchProcess):
                    for child in psutil.Process(process.pid).children(recursive=True):
                        child.kill()
                process.kill()
                running.finish()

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, *self.library, *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "BANK_DATABASE": str(self.database),
            "PYTHONWARNINGS": "error",
            # Not `-u`: the development server does not hand that on to the process that serves.
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


class Running:
    """A server that runs, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def url(self) -> str:
        """Wait until it says where it listens."""
        address = r"https?://127\.0\.0\.1:\d+"
        return self.line_with(f"(running on|server at) {address}")[0].rpartition(" ")[2]

    def line_with(self, pattern: str) -> re.Match[str]:
        """Wait for a line in which the pattern is found."""
        lines = []
        while (line := self._lines.get(timeout=LIMIT_SECONDS)) is not None:
            if found := re.search(pattern, line):
                return found
            lines.append(line)
        raise AssertionError(f"nothing printed has {pattern!r}: {''.join(lines)}")

    def has_line_with(self, pattern: str, seconds: float) -> bool:
        """Wait for such a line, but no longer than this for each line."""
        with contextlib.suppress(queue.Empty):
            while (line := self._lines.get(timeout=seconds)) is not None:
                if re.search(pattern, line):
                    return True
        return False

    def ended(self) -> str:
        """Tell it to end, and return what it has printed since the last line that was read."""
        self._process.terminate()
        self._process.wait(LIMIT_SECONDS)
        return "".join(iter(self._lines.get, None))

    def finish(self) -> None:
        """Wait until all has been read that a process has printed that has ended."""
        self._reader.join(LIMIT_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def database_connections(self, database: Path) -> int:
        """How often the database is open, its log included."""
        return sum(file.path.startswith(str(database)) for file in self.process.open_files())
