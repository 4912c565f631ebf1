"""Random messages for applications that fail, hang, cancel, clean up slowly or refuse to end.

Whatever happens: no task is left, every instance is reported once, and the counters add up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_server import ApplicationEnd, EndCause, InputQueue, StatelessServer

BYE = "bye"
LIMIT = 10
BEHAVIOURS = [
    "echo",
    "echo",
    "slow",
    "return",
    "fail",
    "cancel",
    "hang",
    "clean up",
    "fail in clean-up",
    "ask for another",
    "refuse",
]
SCOPES = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("message"), SCOPES, st.sampled_from(BEHAVIOURS)),
    st.tuples(st.just("message"), SCOPES, st.sampled_from(BEHAVIOURS)),
    st.tuples(st.just("ask"), SCOPES, st.none()),
    st.tuples(st.just("delete"), SCOPES, st.none()),
    st.tuples(st.just("cancel"), SCOPES, st.none()),
    st.tuples(st.just("late"), SCOPES, st.sampled_from(BEHAVIOURS)),
    st.tuples(st.just("iterate"), st.integers(1, 6), st.none()),
)


@dataclass(frozen=True)
class Program:
    steps: list[tuple[str, int, str | None]]
    max_applications: int
    queue_limit: int | None
    queue_policy: str
    says_bye: bool
    waits_to_put: bool
    end: str


PROGRAMS = st.builds(
    Program,
    steps=st.lists(STEPS, max_size=40),
    max_applications=st.integers(1, 4),
    queue_limit=st.sampled_from([None, 1, 2]),
    queue_policy=st.sampled_from(["wait", "drop_oldest", "close"]),
    says_bye=st.booleans(),
    waits_to_put=st.booleans(),
    end=st.sampled_from(["return", "raise", "stop", "stop at once", "cancel", "cancel twice"]),
)


@dataclass
class Seen:
    """What the hooks and the applications were told, to compare with the counters."""

    received: int = 0
    sent: int = 0
    full: int = 0
    dropped: int = 0
    started: set[asyncio.Task[Any]] = field(default_factory=set)
    ends: list[tuple[asyncio.Task[Any], ApplicationEnd]] = field(default_factory=list)
    overdue: list[asyncio.Task[Any]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    unhandled: list[dict[str, Any]] = field(default_factory=list)


class Boom(Exception):
    pass


class FaultyServer(StatelessServer):
    def __init__(self, program: Program) -> None:
        super().__init__(
            self.misbehave,
            program.max_applications,
            queue_limit=program.queue_limit,
            queue_policy=program.queue_policy,  # type: ignore[arg-type]
            grace_period=0.001,
            stop_timeout=0.001,
        )
        self.program = program
        self.seen = Seen()
        self.may_end = asyncio.Event()

    # The application

    async def misbehave(self, scope: Any, receive: Any, send: Any) -> None:
        while (behaviour := await receive()) != BYE:
            self.seen.received += 1
            await send(behaviour)
            await self.behave(behaviour)
            if behaviour in {"return", "refuse"}:
                return

    async def behave(self, behaviour: str) -> None:
        match behaviour:
            case "slow":
                for _ in range(4):
                    await asyncio.sleep(0)
            case "fail":
                raise Boom
            case "cancel":
                raise asyncio.CancelledError
            case "hang":
                await asyncio.get_running_loop().create_future()
            case "clean up" | "fail in clean-up" | "ask for another":
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    await asyncio.sleep(0)
                    self.clean_up(behaviour)
            case "refuse":
                while not self.may_end.is_set():
                    try:
                        await self.may_end.wait()
                    except asyncio.CancelledError:
                        pass

    def clean_up(self, behaviour: str) -> None:
        if behaviour == "fail in clean-up":
            raise Boom
        if behaviour == "ask for another":
            self.put_nowait(7, "echo")

    # The transport

    async def handle(self) -> None:
        for kind, number, behaviour in self.program.steps:
            await self.do(kind, number, behaviour)
            counters = self.counters()
            assert counters.held == len(self.application_instances)
            assert counters.held <= self.program.max_applications
            assert counters.created == counters.held + counters.ending + counters.ended
            in_queues = sum(
                details["input_queue"].qsize() for details in self.application_instances.values()
            )
            assert counters.queue_depth >= in_queues
        match self.program.end:
            case "return":
                return
            case "raise":
                raise OSError("no transport")
            case "stop":
                self.stop()
            case "stop at once":
                self.stop(at_once=True)
        await asyncio.get_running_loop().create_future()

    async def do(self, kind: str, number: int, behaviour: str | None) -> None:
        match kind:
            case "message" if self.program.waits_to_put:
                # It may wait for ever, as applications may hang: so does its message.
                put = asyncio.ensure_future(self.queue(number).put(behaviour))
                for _ in range(3):
                    await asyncio.sleep(0)
                put.cancel()
                await asyncio.wait([put])
            case "message":
                self.put_nowait(number, behaviour)
            case "ask":
                self.queue(number)
            case "delete" if number in self.application_instances:
                self.delete_application_instance(number)
            case "cancel" if number in self.application_instances:
                self.application_instances[number]["future"].cancel()
            case "late":
                queue = self.queue(number)
                await asyncio.sleep(0)
                self.put_into(queue, behaviour)
            case "iterate":
                for _ in range(number):
                    await asyncio.sleep(0)

    def queue(self, number: int) -> InputQueue:
        queue = self.get_or_create_application_instance(number, {"type": "test"})
        self.seen.started.add(self.application_instances[number]["future"])
        return queue

    def put_nowait(self, number: int, behaviour: Any) -> None:
        self.put_into(self.get_or_create_application_instance(number, {"type": "test"}), behaviour)

    def put_into(self, queue: InputQueue, behaviour: Any) -> None:
        try:
            queue.put_nowait(behaviour)
        except asyncio.QueueFull:
            self.seen.full += 1

    async def application_send(self, scope: Any, message: Any) -> None:
        self.seen.sent += 1

    # Hooks

    def application_disconnect(self, application_details: Any, cause: EndCause) -> Any:
        return BYE if self.program.says_bye else None

    def application_dropped(self, message: Any, input_queue: InputQueue) -> None:
        self.seen.dropped += 1

    async def application_ended(self, application_details: Any, end: ApplicationEnd) -> None:
        self.seen.ends.append((application_details["future"], end))

    async def application_overdue(self, application_details: Any) -> None:
        self.seen.overdue.append(application_details["future"])

    async def application_exception(self, exception: BaseException, details: Any) -> None:
        self.seen.failures.append(exception)


async def run(program: Program) -> FaultyServer:
    """Run a program until the last task has ended, refusing ones included."""
    server = FaultyServer(program)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: server.seen.unhandled.append(context)
    )
    arun = asyncio.create_task(server.arun())
    if program.end.startswith("cancel"):
        for _ in range(150):
            await asyncio.sleep(0)
        arun.cancel()
        if program.end == "cancel twice":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            arun.cancel()
    await asyncio.wait([arun])
    server.may_end.set()
    check_end_of_arun(program, arun)
    # One that had to be left ends by itself now; the limit is for a bug.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        done, _ = await asyncio.wait(others, timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
        assert done, others
    return server


def check_end_of_arun(program: Program, arun: asyncio.Task[None]) -> None:
    if program.end.startswith("cancel"):
        assert arun.cancelled()
    elif program.end == "raise":
        assert isinstance(arun.exception(), OSError)
    else:
        arun.result()


# Half of what the profile says: the grace periods take their time.
@settings(max_examples=settings().max_examples // 2)
@given(PROGRAMS)
def test_no_task_is_left_and_the_counters_add_up(program: Program) -> None:
    server = asyncio.run(run(program))
    seen, counters = server.seen, server.counters()

    assert (counters.held, counters.idle, counters.ending, counters.overdue) == (0, 0, 0, 0)
    assert (counters.queue_depth, counters.putters) == (0, 0)
    tasks = [task for task, _ in seen.ends]
    assert len(tasks) == len(set(tasks)) == counters.created == counters.ended
    assert seen.started <= set(tasks)
    causes = Counter(end.cause for _, end in seen.ends)
    assert causes[EndCause.EVICTED] == counters.evicted
    raised = [end.exception for _, end in seen.ends if end.exception is not None]
    assert len(raised) == counters.failed
    assert set(map(id, raised)) == set(map(id, seen.failures))
    assert all(isinstance(error, Boom) for error in raised)
    assert counters.messages_in == seen.received + counters.messages_dropped
    assert counters.messages_dropped == seen.dropped
    assert counters.messages_out == seen.sent
    assert len(seen.overdue) == len(set(seen.overdue))
    assert set(seen.overdue) == {task for task, end in seen.ends if end.overdue}
    assert seen.unhandled == []
