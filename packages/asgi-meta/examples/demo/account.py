"""The printed account of what ran where, and the checks whose outcome is the exit status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.trail import Step


class Account:
    """Prints as it goes, and remembers which promises were kept."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._letters: dict[int, str] = {}
        self._sections = 0
        self._kept = 0
        self._broken: list[str] = []
        # A terminal or file that cannot show check marks gets words.
        ascii_only = console.options.ascii_only
        self._mark_kept = "ok" if ascii_only else "\N{CHECK MARK}"
        self._mark_broken = "NO" if ascii_only else "\N{BALLOT X}"

    def title(self, title: str, text: str) -> None:
        """Print what the whole is about."""
        self._console.print(Panel(text, title=title, box=box.ROUNDED, padding=(0, 1)))

    def section(self, title: str, files: str, story: str) -> None:
        """Begin a section: where its code is, what is asked for, what that shows."""
        self._sections += 1
        self._console.print()
        heading = f"[bold]{self._sections}. {title}[/] ({files})"
        self._console.rule(heading, align="left", style="cyan")
        self._console.print(story, highlight=False)

    def steps(self, caption: str, steps: Iterable[Step]) -> None:
        """Print the trail of one request: which function ran in which thread."""
        self.table(
            caption,
            ("what ran", "code", "in thread", "request id seen"),
            [(step.what, step.kind, self._thread_of(step), step.request_id) for step in steps],
        )

    def table(self, caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
        table = Table(title=caption, title_justify="left", title_style="bold", box=box.ROUNDED)
        for column in columns:
            table.add_column(column)
        for row in rows:
            # As text: what came back from the server is no markup.
            table.add_row(*(Text(cell) for cell in row))
        self._console.print()
        self._console.print(table)

    def check(self, fact: str, holds: bool, seen: object = None) -> None:
        """Print whether `fact` holds; if not, what was seen instead, and remember it."""
        line = Table.grid(padding=(0, 1))
        if holds:
            self._kept += 1
            line.add_row(Text(self._mark_kept, "bold green"), Text(fact))
        else:
            self._broken.append(fact)
            line.add_row(Text(self._mark_broken, "bold red"), Text(f"{fact}; seen: {seen!r}"))
        self._console.print(line)

    def verdict(self) -> int:
        """Print how many promises were kept; return the exit status."""
        self._console.print()
        if not self._broken:
            self._console.print(f"[bold green]All {self._kept} promises kept.")
            return 0
        total = self._kept + len(self._broken)
        self._console.print(f"[bold red]{len(self._broken)} of {total} promises broken:")
        for fact in self._broken:
            self._console.print(Text(f"- {fact}"))
        return 1

    def _thread_of(self, step: Step) -> str:
        """Return the name of a thread and, as workers share their names, a letter of its own."""
        number = len(self._letters)
        letter = ascii_uppercase[number % 26] * (number // 26 + 1)
        return f"{self._letters.setdefault(step.thread_id, letter)} ({step.thread_name})"
