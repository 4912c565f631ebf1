"""Random requests of which most go wrong: what each is to do, its client, its application.

A plan is drawn before its request begins, and counts steps, not time: the client's steps are the
calls of `receive` and `send`, the application's are what it does one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from helpers.server_threads import PATIENCE

# Of request and response bodies: within all windows of the adapter, around them, beyond them.
SIZES = (0, 1, 1_000, 20_000, 65_536, 100_000)
READS = ("nothing", "one byte", "a part", "lines", "everything")


class ApplicationFailedError(Exception):
    """What a plan has the application raise."""


class ConnectionClosedError(OSError):
    """What the `send` of some servers raises once the client has gone."""


@dataclass(frozen=True)
class Plan:
    """What one request does.

    Attributes:
        chunks: Sizes of the chunks of its body.
        reads: What of it the application reads.
        answers: Sizes of the chunks of the response.
        writes: How many of them go through `write`.
        patience: How many turns of the event loop the client takes for each chunk.
        fails_at: The step of the application that raises, if any.
        close_fails: Whether its `close()` raises.
        leaves_at: The step at which the client goes away, if it does.
        then_sends: What `send` does from then on: it drops what it is given, raises, or never
            returns; there are servers for each.
        cancelled_at: The step at which the server cancels the request, if it does.
    """

    chunks: tuple[int, ...]
    reads: str
    answers: tuple[int, ...]
    writes: int
    patience: int
    fails_at: int | None
    close_fails: bool
    leaves_at: int | None
    then_sends: str
    cancelled_at: int | None

    @property
    def is_sound(self) -> bool:
        """Whether nothing goes wrong."""
        return self.fails_at is self.leaves_at is self.cancelled_at is None and not self.close_fails


def draw_plan(random: Random, *, may_cancel: bool) -> Plan:
    """Return a plan with no fault, one or several."""

    def step(chance: float) -> int | None:
        return random.randrange(10) if random.random() < chance else None

    then_sends = random.choice(("drop", "raise", "hang"))
    # The end of a client is behind what it has sent: an adapter that holds as much of a body as
    # it may, and has nobody to read it, cannot see that end, and has only `send` to tell it.
    sizes = SIZES[:3] if then_sends == "hang" else SIZES
    answers = tuple(random.choice(SIZES) for _ in range(random.randrange(5)))
    return Plan(
        chunks=tuple(random.choice(sizes) for _ in range(random.randrange(5))),
        reads=random.choice(READS),
        answers=answers,
        writes=random.randrange(len(answers) + 1) if random.random() < 0.3 else 0,
        patience=random.choice((0, 0, 1, 20)),
        fails_at=step(0.25),
        close_fails=random.random() < 0.05,
        leaves_at=step(0.4),
        then_sends=then_sends,
        cancelled_at=step(0.25) if may_cancel else None,
    )


class Ledger:
    """What there is of the requests. Thread-safe."""

    def __init__(self) -> None:
        self.bytes_alive = 0
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()  # clients, inputs, response bodies
        self.closed: list[int] = []  # how often, for each response body that was returned
        self.wrong: list[str] = []
        self._applications = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Count an application as running until its body is closed, or its call has failed."""
        self._count_application(1)
        try:
            yield
        except BaseException:
            self._count_application(-1)
            raise

    def open_body(self) -> int:
        """Return the number of a new body."""
        with self._changed:
            self.closed.append(0)
            return len(self.closed) - 1

    def close_body(self, number: int) -> None:
        self.closed[number] += 1
        self._count_application(-1)

    def count_bytes(self, number: int) -> None:
        with self._changed:
            self.bytes_alive += number

    def wait_for_applications(self) -> None:
        """Wait until every application that was called has been closed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._applications <= 0, PATIENCE)

    def _count_application(self, number: int) -> None:
        with self._changed:
            self._applications += number
            self._changed.notify_all()


class Chunk(bytes):
    """Bytes that the ledger counts as long as they exist."""

    ledger: Ledger

    def __new__(cls, size: int, ledger: Ledger) -> Chunk:
        chunk = super().__new__(cls, size)
        chunk.ledger = ledger
        ledger.count_bytes(max(size, 1))
        return chunk

    def __del__(self) -> None:
        self.ledger.count_bytes(-max(len(self), 1))


class Application:
    """The WSGI side; the plan of each request is in its scope."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        with self._ledger.calling():
            return self._call(environ, start_response)

    def _call(self, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        plan: Plan = environ["asgi.scope"]["plan"]
        self._ledger.alive.add(environ["wsgi.input"])
        steps = Steps(plan)
        steps.take()
        _read(environ["wsgi.input"], plan.reads)
        steps.take()
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        for size in plan.answers[: plan.writes]:
            steps.take()
            write(Chunk(size, self._ledger))
        steps.take()
        return Body(plan, steps, self._ledger)


class Steps:
    """Raises at the step that the plan says."""

    def __init__(self, plan: Plan) -> None:
        self._fails_at = plan.fails_at
        self._taken = 0

    def take(self) -> None:
        if self._taken == self._fails_at:
            raise ApplicationFailedError
        self._taken += 1


class Body:
    """The response body: what the plan has left after `write`."""

    def __init__(self, plan: Plan, steps: Steps, ledger: Ledger) -> None:
        self._plan = plan
        self._steps = steps
        self._ledger = ledger
        self._number = ledger.open_body()
        ledger.alive.add(self)

    def __iter__(self) -> Iterator[bytes]:
        for size in self._plan.answers[self._plan.writes :]:
            self._steps.take()
            yield Chunk(size, self._ledger)
        self._steps.take()

    def close(self) -> None:
        self._ledger.close_body(self._number)
        if self._plan.close_fails:
            raise ApplicationFailedError


def _read(stream: Any, reads: str) -> None:
    if reads == "one byte":
        stream.read(1)
    elif reads == "a part":
        stream.read(30_000)
    elif reads == "lines":
        for _ in stream:
            pass
    elif reads == "everything":
        while stream.read(10_000):
            pass


class Client:
    """The ASGI side of one request."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.plan = plan
        self.received = 0
        self.is_complete = False
        self.task: asyncio.Task[None] | None = None
        self._ledger = ledger
        ledger.alive.add(self)
        self._chunks = list(plan.chunks)
        self._is_sent = False
        self._steps = 0
        self._has_left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        self._step()
        await self._turns()
        if not self._is_sent and not self._has_left.is_set():
            body = Chunk(self._chunks.pop(0), self._ledger) if self._chunks else b""
            self._is_sent = not self._chunks
            return {"type": "http.request", "body": body, "more_body": not self._is_sent}
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self._step()
        await self._turns()
        if self._has_left.is_set():
            if self.plan.then_sends == "raise":
                raise ConnectionClosedError
            if self.plan.then_sends == "hang":
                await asyncio.get_running_loop().create_future()
            return
        self.received += len(message.get("body", b""))
        self.is_complete = message["type"] == "http.response.body" and not message.get("more_body")

    async def _turns(self) -> None:
        for _ in range(self.plan.patience):
            await asyncio.sleep(0)

    def _step(self) -> None:
        loop = asyncio.get_running_loop()
        if self._steps == self.plan.leaves_at:
            # Not at once: the call that is under way may be the one that is disturbed.
            loop.call_soon(self._has_left.set)
        if self._steps == self.plan.cancelled_at and self.task is not None:
            loop.call_soon(self.task.cancel)
        self._steps += 1


async def request(adapter: Any, plan: Plan, ledger: Ledger) -> None:
    """Send one request, and note what should not have been."""
    client = Client(plan, ledger)
    headers = [(b"host", b"example.org")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": headers, "client": None, "server": ("127.0.0.1", 80), "plan": plan,
    }  # fmt: skip
    client.task = task = asyncio.create_task(adapter(scope, client.receive, client.send))
    _, hanging = await asyncio.wait([task], timeout=PATIENCE)
    if hanging:
        ledger.wrong.append(f"{plan} does not end")
        task.cancel()
        return
    error = None if task.cancelled() else task.exception()
    if error is not None:
        error.__traceback__ = None
    if not isinstance(error, ApplicationFailedError | ConnectionClosedError | None):
        ledger.wrong.append(f"{plan} raised {error!r}")
    if plan.is_sound and (client.received != sum(plan.answers) or not client.is_complete):
        ledger.wrong.append(f"{plan} was answered with {client.received} bytes")
    if task.cancelled() and plan.cancelled_at is None:
        ledger.wrong.append(f"{plan} was cancelled")
