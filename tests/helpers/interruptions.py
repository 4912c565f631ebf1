"""Runs something between any two instructions of a function, as another thread could."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


def instructions_of(function: Callable[[], object], codes: set[CodeType]) -> int:
    """Call `function`; return how many instructions of `codes` that took."""
    return _traced(function, codes, lambda number: None)


def interrupt_before(
    number: int,
    function: Callable[[], object],
    codes: set[CodeType],
    interruption: Callable[[], object],
) -> None:
    """Call `function`, and `interruption` before the instruction of that number in `codes`."""

    def interrupt(count: int) -> None:
        if count == number:
            interruption()

    _traced(function, codes, interrupt)


def codes_of(cls: type) -> set[CodeType]:
    """The code of all methods of a class."""
    return {value.__code__ for value in vars(cls).values() if hasattr(value, "__code__")}


def _traced(
    function: Callable[[], object], codes: set[CodeType], before: Callable[[int], None]
) -> int:
    count = 0

    # The interpreter traces nothing that a trace function itself calls.
    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before(count)
            count += 1
        return trace

    previous = sys.gettrace()
    # Python 3.12 looks here, when tracing begins, whether anybody wants instructions.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(previous)
    return count
