"""Timers of an event loop that are moved on by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest


class Timers:
    """The clock and the timers of the running event loop, moved on by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waiting: list[asyncio.TimerHandle] = []
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(self._loop, "time", lambda: self.now)
        monkeypatch.setattr(self._loop, "call_at", self._call_at)

    def run_until(self, now: float) -> None:
        self.now = now
        due = [timer for timer in self.waiting if timer.when() <= now]
        self.waiting = [timer for timer in self.waiting if timer.when() > now]
        for timer in due:
            timer._run()

    def _call_at(
        self, when: float, callback: Callable[..., None], *arguments: Any
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, arguments, self._loop)
        self.waiting.append(timer)
        return timer
