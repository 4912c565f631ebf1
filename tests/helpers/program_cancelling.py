"""How the interpreter cancels: at a point with which it shakes hands, or anywhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from asgi_sync import sync_to_async
from helpers import programs as p
from helpers.program_recorder import Around
from helpers.program_records import CANCELLED, describe_error
from helpers.program_waiting import Flights, Handshake, wait_for_all
from helpers.programs import Place

if TYPE_CHECKING:
    from helpers.program_interpreter import Interpreter


async def point(interpreter: Interpreter, step: p.Point, place: Place, around: Around) -> None:
    """Wait to be cancelled, and clean up."""
    assert around.handshake is not None
    try:
        for _ in range(around.handshake.times - 1):
            try:
                await around.handshake.wait_to_be_cancelled()
            except asyncio.CancelledError:
                continue
        await around.handshake.wait_to_be_cancelled()
    except asyncio.CancelledError:
        # Outside of the handler, whose exception the code would see.
        pass
    await interpreter.async_block(step.cleanup, (*place, 0), around)
    if not step.swallow:
        raise asyncio.CancelledError


async def queued(interpreter: Interpreter, step: p.Queued, place: Place, around: Around) -> None:
    """Wait for a thread that is not free, to be cancelled meanwhile."""
    handshake = around.handshake
    assert handshake is not None
    loop, inside = asyncio.get_running_loop(), asyncio.Event()

    def hold_the_thread() -> None:
        loop.call_soon_threadsafe(inside.set)
        handshake.wait_for_leave_to_go_on()

    async def hold() -> None:
        try:
            await sync_to_async(hold_the_thread)()
        finally:
            inside.set()

    holder = asyncio.create_task(hold())
    try:
        await inside.wait()
        if holder.done():
            await holder
        # After this step, in which the call is submitted.
        loop.call_soon(handshake.reach)
        await interpreter.call_sync(p.CallSync(step.body), (*place, 0), around)
        # Nobody comes to cancel any more.
        raise asyncio.CancelledError
    finally:
        handshake.caller_is_gone()
        await wait_for_all([holder])


async def cancel_at_point(
    interpreter: Interpreter, step: p.CancelAtPoint, place: Place, around: Around
) -> None:
    """Cancel a task where it is known to be."""
    handshake, flights = Handshake(step.times), Flights(around.flights)
    inside = replace(around, handshake=handshake, flights=flights)
    task = asyncio.create_task(interpreter.async_block(step.body, (*place, 0), inside))
    try:
        for _ in range(step.times):
            await handshake.wait_until_reached(task)
            task.cancel()
        await asyncio.wait([task])
    except asyncio.CancelledError:
        handshake.close()
        await wait_for_all([task], flights, cancel=True)
        raise
    # A function may be left that goes on, but none that waits for this.
    await wait_for_all([task], flights)
    if not around.is_free:
        end = CANCELLED if task.cancelled() else describe_error(task.exception())
        interpreter.recorder.end(place, end)


async def cancel_anywhere(
    interpreter: Interpreter, step: p.CancelAnywhere, place: Place, around: Around
) -> None:
    """Cancel a task, wherever it is."""
    interpreter.recorder.has_left_calls = True
    flights = Flights(around.flights)
    inside = replace(around, flights=flights, handshake=None, is_free=True)
    task = asyncio.create_task(interpreter.async_block(step.body, (*place, 0), inside))
    try:
        await asyncio.sleep(step.pause)
        has_ended_before = task.done()
        for _ in range(step.times):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await wait_for_all([task], flights, cancel=True)
        raise
    if not has_ended_before and not task.cancelled():
        interpreter.recorder.problem(place, f"cancelled, the task has ended otherwise: {task!r}")
    await wait_for_all([task], flights)
