from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from asgi_server._instances import ApplicationDetails, ApplicationInstances


class Instances(ApplicationInstances):
    """Instances that wait for an event each, and the details of those that ended."""

    def __init__(self) -> None:
        self.ended: list[ApplicationDetails] = []
        self.may_end = asyncio.Event()
        super().__init__(on_ended=self.ended.append)

    def launch(self, scope_id: Hashable) -> ApplicationDetails:
        return self.start(scope_id, {}, asyncio.Queue(), self.application())

    async def application(self) -> None:
        await self.may_end.wait()


@pytest.mark.asyncio
async def test_instances_are_in_order_of_last_use() -> None:
    instances = Instances()
    for scope_id in "abc":
        instances.launch(scope_id)
    assert instances.oldest() == "a"

    instances.use("a")

    assert list(instances.by_scope_id) == ["b", "c", "a"]
    assert instances.oldest() == "b"
    await instances.cancel_and_wait_ended()


@pytest.mark.asyncio
async def test_use_returns_the_details_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    instances = Instances()
    details = instances.launch("a")
    monkeypatch.setattr("time.time", lambda: 1234.5)

    assert instances.use("a") is details
    assert details["last_used"] == 1234.5
    assert instances.use("b") is None
    await instances.cancel_and_wait_ended()


@pytest.mark.asyncio
async def test_instance_that_ended_in_this_iteration_is_not_used() -> None:
    instances = Instances()
    found: list[ApplicationDetails | None] = []

    async def application() -> None:
        await instances.may_end.wait()
        # Runs in the same iteration as the done-callbacks of this task, and before them.
        asyncio.get_running_loop().call_soon(lambda: found.append(instances.use("a")))

    details = instances.start("a", {}, asyncio.Queue(), application())
    instances.may_end.set()
    await asyncio.wait([details["future"]])

    assert found == [None]
    assert instances.by_scope_id == {}
    assert instances.ended == [details]


@pytest.mark.asyncio
async def test_ended_instance_is_removed_and_told_of() -> None:
    instances = Instances()
    details = instances.launch("a")
    instances.may_end.set()
    await asyncio.wait([details["future"]])

    assert instances.by_scope_id == {}
    assert instances.ended == [details]


@pytest.mark.asyncio
async def test_end_of_a_deleted_instance_leaves_the_new_one() -> None:
    instances = Instances()
    old = instances.launch("a")
    instances.delete("a")
    new = instances.launch("a")
    await asyncio.wait([old["future"]])

    assert instances.ended == [old]
    assert instances.by_scope_id == {"a": new}
    await instances.cancel_and_wait_ended()


@pytest.mark.asyncio
async def test_every_instance_is_told_of_once_when_all_are_cancelled() -> None:
    instances = Instances()
    started = [instances.launch(scope_id) for scope_id in "abc"]
    instances.delete("b")
    await instances.cancel_and_wait_ended()

    assert sorted(str(details["scope_id"]) for details in instances.ended) == ["a", "b", "c"]
    assert all(details["future"].cancelled() for details in started)
    assert instances.by_scope_id == {}


@pytest.mark.asyncio
async def test_task_is_named_after_the_scope_id() -> None:
    instances = Instances()

    assert instances.launch(("127.0.0.1", 53))["future"].get_name() == (
        "application ('127.0.0.1', 53)"
    )
    await instances.cancel_and_wait_ended()


@pytest.mark.asyncio
async def test_none_to_delete_or_to_be_oldest() -> None:
    instances = Instances()

    with pytest.raises(KeyError, match="a"):
        instances.delete("a")
    with pytest.raises(ValueError, match="no application instance"):
        instances.oldest()


@pytest.mark.asyncio
async def test_scope_id_may_be_anything_hashable() -> None:
    instances = Instances()
    scope_ids: list[Any] = [None, "", 0, ("::1", 53), frozenset()]
    for scope_id in scope_ids:
        instances.launch(scope_id)

    assert list(instances.by_scope_id) == scope_ids
    assert all(instances.use(scope_id) is not None for scope_id in scope_ids)
    await instances.cancel_and_wait_ended()
