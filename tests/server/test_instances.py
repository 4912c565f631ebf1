from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from typing import Any

import pytest
import pytest_asyncio

from asgi_server._endings import ApplicationEnd, EndCause
from asgi_server._input_queue import InputQueue
from asgi_server._instances import ApplicationDetails, ApplicationInstances
from asgi_server._settings import Settings


class Observer:
    """Collects what it is told."""

    def __init__(self) -> None:
        self.ends: list[tuple[ApplicationDetails, ApplicationEnd]] = []

    def instance_ended(self, details: ApplicationDetails, end: ApplicationEnd) -> None:
        self.ends.append((details, end))

    def instance_overdue(self, details: ApplicationDetails) -> None:
        raise AssertionError(f"{details['scope_id']!r} is overdue")

    def message_dropped(self, queue: InputQueue, message: Any) -> None:
        raise AssertionError(f"{message!r} is dropped")

    def last_message(self, details: ApplicationDetails, cause: EndCause) -> None:
        return None


class Instances(ApplicationInstances):
    """Instances that wait for an event each, and never for a message."""

    def __init__(self) -> None:
        self.observer = Observer()
        self.may_end = asyncio.Event()
        super().__init__(Settings(), self.observer)

    def launch(self, scope_id: Hashable) -> ApplicationDetails:
        return self.start({}, self.new_queue(scope_id), self.application())

    async def application(self) -> None:
        await self.may_end.wait()

    async def end_all(self) -> None:
        self.cancel_all()
        await self.when(self.have_ended)
        self.abandon()


@pytest_asyncio.fixture
async def instances() -> AsyncIterator[Instances]:
    instances = Instances()
    yield instances
    await instances.end_all()


@pytest.mark.asyncio
async def test_instances_are_in_order_of_last_use(instances: Instances) -> None:
    for scope_id in "abc":
        instances.launch(scope_id)
    assert instances.oldest() == "a"

    instances.use("a")

    assert list(instances.by_scope_id) == ["b", "c", "a"]
    assert instances.oldest() == "b"


@pytest.mark.asyncio
async def test_use_returns_the_details_with_the_time(
    instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = instances.launch("a")
    monkeypatch.setattr("time.time", lambda: 1234.5)

    assert instances.use("a") is details
    assert details["last_used"] == 1234.5
    assert instances.use("b") is None


@pytest.mark.asyncio
async def test_instance_that_ended_in_this_iteration_is_not_used(instances: Instances) -> None:
    found: list[ApplicationDetails | None] = []

    async def application() -> None:
        await instances.may_end.wait()
        # Runs in the same iteration as the done-callbacks of this task, and before them.
        asyncio.get_running_loop().call_soon(lambda: found.append(instances.use("a")))

    details = instances.start({}, instances.new_queue("a"), application())
    instances.may_end.set()
    await asyncio.wait([details["future"]])

    assert found == [None]
    assert instances.by_scope_id == {}
    assert [ended for ended, _ in instances.observer.ends] == [details]


@pytest.mark.asyncio
async def test_ended_instance_is_removed_and_told_of(instances: Instances) -> None:
    details = instances.launch("a")
    instances.may_end.set()
    await asyncio.wait([details["future"]])

    assert instances.by_scope_id == {}
    ((ended, end),) = instances.observer.ends
    assert ended is details
    assert end == ApplicationEnd(EndCause.ITSELF, None, False, False, ())


@pytest.mark.asyncio
async def test_end_of_a_deleted_instance_leaves_the_new_one(instances: Instances) -> None:
    old = instances.launch("a")
    instances.delete("a", EndCause.DELETED)
    new = instances.launch("a")
    await asyncio.wait([old["future"]])

    ((ended, end),) = instances.observer.ends
    assert ended is old
    assert end == ApplicationEnd(EndCause.DELETED, None, True, False, ())
    assert instances.by_scope_id == {"a": new}


@pytest.mark.asyncio
async def test_every_instance_is_told_of_once_when_all_are_cancelled(instances: Instances) -> None:
    started = [instances.launch(scope_id) for scope_id in "abc"]
    instances.delete("b", EndCause.EVICTED)
    await instances.end_all()

    causes = {str(details["scope_id"]): end.cause for details, end in instances.observer.ends}
    assert len(instances.observer.ends) == 3
    assert causes == {"a": EndCause.STOPPED, "b": EndCause.EVICTED, "c": EndCause.STOPPED}
    assert all(details["future"].cancelled() for details in started)
    assert instances.by_scope_id == {}


@pytest.mark.asyncio
async def test_task_is_named_after_the_scope_id(instances: Instances) -> None:
    assert instances.launch(("127.0.0.1", 53))["future"].get_name() == (
        "application ('127.0.0.1', 53)"
    )


@pytest.mark.asyncio
async def test_none_to_delete_or_to_be_oldest(instances: Instances) -> None:
    with pytest.raises(KeyError, match="a"):
        instances.delete("a", EndCause.DELETED)
    with pytest.raises(ValueError, match="no application instance"):
        instances.oldest()


@pytest.mark.asyncio
async def test_scope_id_may_be_anything_hashable(instances: Instances) -> None:
    scope_ids: list[Any] = [None, "", 0, ("::1", 53), frozenset()]
    for scope_id in scope_ids:
        instances.launch(scope_id)

    assert list(instances.by_scope_id) == scope_ids
    assert all(instances.use(scope_id) is not None for scope_id in scope_ids)


@pytest.mark.asyncio
async def test_instance_started_after_all_were_cancelled_never_runs(instances: Instances) -> None:
    instances.cancel_all()
    ran = []

    async def application() -> None:
        ran.append(True)

    details = instances.start({}, instances.new_queue("a"), application())
    await asyncio.wait([details["future"]])

    assert ran == []
    assert details["future"].cancelled()
    assert instances.by_scope_id == {}


@pytest.mark.asyncio
async def test_instances_can_be_started_after_it_is_open_again(instances: Instances) -> None:
    instances.cancel_all()
    instances.open()

    details = instances.launch("a")
    instances.may_end.set()
    await asyncio.wait([details["future"]])

    assert not details["future"].cancelled()
