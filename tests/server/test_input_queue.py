"""The queue of one application instance: order, waiting readers and writers, limits, its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asgi_server._counters import Tally
from asgi_server._input_queue import InputQueue, QueueGroup


class Queue(InputQueue):
    """A queue in a group of its own, and what happened to it."""

    def __init__(self, limit: int | None = None, policy: Any = "wait") -> None:
        self.tally = Tally()
        self.lost: list[Any] = []
        self.group = QueueGroup(
            limit,
            policy,
            self.tally,
            on_dropped=lambda queue, message: self.lost.append(message),
            on_overflow=lambda queue: queue.close(),
        )
        super().__init__("ann", self.group)

    @property
    def is_idle(self) -> bool:
        return self in self.group.idle

    def add_up(self) -> tuple[int, int, int]:
        return self.tally.messages_in, self.tally.queue_depth, self.tally.messages_dropped


async def started(coroutine: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


# Order, and the names of asyncio.Queue


@pytest.mark.asyncio
async def test_messages_are_received_in_order() -> None:
    queue = Queue()
    for message in "abc":
        queue.put_nowait(message)

    assert queue.qsize() == 3
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]
    assert queue.empty()
    assert queue.add_up() == (3, 0, 0)


@pytest.mark.asyncio
async def test_reader_waits_for_a_message() -> None:
    queue = Queue()
    reader = await started(queue.get())
    assert not reader.done()
    queue.put_nowait("a")
    assert await reader == "a"


def test_empty_queue_says_so() -> None:
    with pytest.raises(asyncio.QueueEmpty, match="'ann'"):
        Queue().get_nowait()


@pytest.mark.parametrize(("limit", "maxsize"), [(None, 0), (7, 7)])
def test_maxsize_is_that_of_asyncio(limit: int | None, maxsize: int) -> None:
    assert Queue(limit).maxsize == maxsize


def test_queue_without_limit_is_never_full() -> None:
    queue = Queue()
    for number in range(10_000):
        queue.put_nowait(number)
    assert not queue.full()
    assert queue.qsize() == 10_000


# Readers


@pytest.mark.asyncio
async def test_queue_is_idle_while_a_reader_waits_for_a_message() -> None:
    queue = Queue()
    states = [queue.is_idle]
    reader = await started(queue.get())
    states.append(queue.is_idle)
    queue.put_nowait("a")
    states.append(queue.is_idle)
    await reader

    assert states == [False, True, False]
    assert not queue.is_idle


@pytest.mark.asyncio
async def test_queue_whose_reader_gave_up_is_not_idle() -> None:
    queue = Queue()
    reader = await started(queue.get())
    reader.cancel()
    await asyncio.wait([reader])

    assert not queue.is_idle
    queue.put_nowait("a")
    assert await queue.get() == "a"


@pytest.mark.asyncio
async def test_message_of_a_reader_that_is_cancelled_when_woken_goes_to_the_next() -> None:
    queue = Queue()
    first, second = await started(queue.get()), await started(queue.get())
    queue.put_nowait("a")
    first.cancel()
    await asyncio.wait([first])

    assert first.cancelled()
    assert await second == "a"


@pytest.mark.asyncio
async def test_message_of_the_only_reader_that_is_cancelled_when_woken_stays() -> None:
    queue = Queue()
    reader = await started(queue.get())
    queue.put_nowait("a")
    reader.cancel()
    await asyncio.wait([reader])

    assert queue.get_nowait() == "a"


@pytest.mark.asyncio
async def test_queue_stays_idle_when_one_of_two_readers_gives_up() -> None:
    queue = Queue()
    first, second = await started(queue.get()), await started(queue.get())
    first.cancel()
    await asyncio.wait([first])

    assert queue.is_idle
    queue.put_nowait("a")
    assert await second == "a"


@pytest.mark.asyncio
async def test_readers_are_served_in_order() -> None:
    queue = Queue()
    readers = [await started(queue.get()) for _ in range(3)]
    for message in "abc":
        queue.put_nowait(message)

    assert await asyncio.gather(*readers) == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_reader_whose_message_was_taken_waits_on() -> None:
    queue = Queue()
    reader = await started(queue.get())
    queue.put_nowait("a")
    assert queue.get_nowait() == "a"
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not reader.done()
    assert queue.is_idle
    queue.put_nowait("b")
    assert await reader == "b"


# A full queue: wait


@pytest.mark.asyncio
async def test_put_nowait_raises_when_full() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")

    assert queue.full()
    with pytest.raises(asyncio.QueueFull, match=r"'ann' holds 1 messages.*await put"):
        queue.put_nowait("b")
    assert queue.add_up() == (1, 1, 0)


@pytest.mark.asyncio
async def test_put_waits_for_room() -> None:
    queue = Queue(limit=1)
    await queue.put("a")
    writer = await started(queue.put("b"))
    assert not writer.done()
    assert queue.tally.putters == 1

    assert queue.get_nowait() == "a"
    await writer
    assert queue.get_nowait() == "b"
    assert queue.tally.putters == 0
    assert queue.add_up() == (2, 0, 0)


@pytest.mark.asyncio
async def test_message_that_waits_for_room_is_not_overtaken() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")
    writers = [await started(queue.put(message)) for message in "bc"]
    assert queue.get_nowait() == "a"

    # There is no room: "b" has it, whose writer has not run since.
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait("d")
    assert [queue.get_nowait() for _ in range(2)] == ["b", "c"]
    await asyncio.gather(*writers)


@pytest.mark.asyncio
async def test_writer_that_gives_up_leaves_nothing() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")
    first, second = await started(queue.put("b")), await started(queue.put("c"))
    first.cancel()
    await asyncio.wait([first])

    assert queue.tally.putters == 1
    assert queue.get_nowait() == "a"
    assert queue.get_nowait() == "c"
    await second
    assert queue.add_up() == (2, 0, 0)


@pytest.mark.asyncio
async def test_writer_cancelled_in_the_iteration_of_the_room_lets_the_next_one_in() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")
    first, second = await started(queue.put("b")), await started(queue.put("c"))
    first.cancel()
    assert queue.get_nowait() == "a"

    assert queue.get_nowait() == "c"
    await asyncio.wait([first, second])
    assert queue.tally.putters == 0
    assert queue.add_up() == (2, 0, 0)


# A full queue: drop the oldest, close


@pytest.mark.asyncio
async def test_full_queue_drops_the_oldest_message() -> None:
    queue = Queue(2, "drop_oldest")
    for message in "abc":
        queue.put_nowait(message)
    await queue.put("d")

    assert queue.lost == ["a", "b"]
    assert queue.dropped == 2
    assert queue.add_up() == (4, 2, 2)
    assert [queue.get_nowait(), queue.get_nowait()] == ["c", "d"]


@pytest.mark.asyncio
async def test_full_queue_that_closes_drops_the_new_message() -> None:
    queue = Queue(1, "close")
    for message in "abc":
        queue.put_nowait(message)
    await queue.put("d")

    assert queue.lost == ["b", "c", "d"]
    assert queue.get_nowait() == "a"
    assert queue.add_up() == (4, 0, 3)


# The end


@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "close"])
@pytest.mark.asyncio
async def test_closed_queue_drops_what_is_put(policy: str) -> None:
    queue = Queue(1, policy)
    queue.close()
    queue.put_nowait("a")
    await queue.put("b")

    assert queue.lost == ["a", "b"]
    assert queue.add_up() == (2, 0, 2)


@pytest.mark.asyncio
async def test_closing_ends_the_wait_for_room_and_drops_the_messages() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")
    writers = [await started(queue.put(message)) for message in "bc"]
    queue.close()
    await asyncio.gather(*writers)

    assert queue.lost == ["b", "c"]
    assert queue.tally.putters == 0
    assert queue.add_up() == (3, 1, 2)


@pytest.mark.asyncio
async def test_closed_queue_is_not_idle() -> None:
    queue = Queue()
    first = await started(queue.get())
    queue.close()
    second = await started(queue.get())

    assert not queue.is_idle
    for reader in [first, second]:
        reader.cancel()
    await asyncio.wait([first, second])


@pytest.mark.asyncio
async def test_last_message_comes_behind_the_others_and_is_not_counted() -> None:
    queue = Queue(limit=1)
    queue.put_nowait("a")
    queue.close()
    queue.put_notice("bye")

    assert [await queue.get(), await queue.get()] == ["a", "bye"]
    assert queue.add_up() == (1, 0, 0)
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


@pytest.mark.asyncio
async def test_last_message_wakes_the_reader() -> None:
    queue = Queue()
    reader = await started(queue.get())
    queue.close()
    queue.put_notice("bye")

    assert await reader == "bye"


@pytest.mark.asyncio
async def test_last_message_of_a_reader_that_is_cancelled_when_woken_goes_to_the_next() -> None:
    queue = Queue()
    first, second = await started(queue.get()), await started(queue.get())
    queue.close()
    queue.put_notice("bye")
    first.cancel()
    await asyncio.wait([first])

    assert await second == "bye"


@pytest.mark.asyncio
async def test_what_is_left_is_dropped_but_for_the_last_message() -> None:
    queue = Queue()
    for message in "ab":
        queue.put_nowait(message)
    queue.close()
    queue.put_notice("bye")

    assert queue.drop_all() == ("a", "b")
    assert queue.lost == ["a", "b"]
    assert queue.add_up() == (2, 0, 2)
    assert queue.drop_all() == ()
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
