"""The example `redis_streams`: who owns a partition, and what happens when that changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers.redis_streams import (
    Deployment,
    Holding,
    deployed,
    echo,
)
from redis_streams.broker import Broker, Entry, Ownership, OwnershipLostError, Written
from redis_streams.names import Names


async def owned_by(broker: Broker, deployment: Deployment, scope_id: str) -> Ownership:
    """Have a broker take all partitions; return that of a scope."""
    share = await broker.balance(is_member=True)
    return share.owned[deployment.names.partition_of(scope_id)]


async def die(broker: Broker, deployment: Deployment) -> None:
    await deployment.expire(broker)
    await broker.close()


# Shares


@pytest.mark.parametrize(
    ("partitions", "shares"), [(8, [3, 3, 2]), (4, [2, 1, 1]), (2, [1, 1]), (1, [1])]
)
@pytest.mark.asyncio
async def test_partitions_are_shared_as_evenly_as_can_be(
    redis_url: str, partitions: int, shares: list[int]
) -> None:
    async with (
        deployed(redis_url, partitions) as deployment,
        deployment.working(echo),
        deployment.working(echo),
        deployment.working(echo),
    ):
        await deployment.wait_shares(*shares)


@pytest.mark.asyncio
async def test_worker_that_joins_and_leaves_under_load_breaks_no_order(redis_url: str) -> None:
    sent = [(f"scope-{number % 20}", str(number)) for number in range(600)]
    async with deployed(redis_url, 4) as deployment, deployment.working(echo, window=5):
        ids = await deployment.client.send_many(sent[:200])
        async with deployment.working(echo, window=5):
            ids += await deployment.client.send_many(sent[200:400])
            await deployment.wait_shares(2, 2)
            ids += await deployment.client.send_many(sent[400:])
        replies = await deployment.replies(600)
        await deployment.wait_shares(4)

    for scope_id in {scope_id for scope_id, _ in sent}:
        assert [each.text for each in replies if each.scope_id == scope_id] == [
            text for scope, text in sent if scope == scope_id
        ]


@pytest.mark.asyncio
async def test_consumers_of_workers_that_have_left_are_deleted(deployment: Deployment) -> None:
    for _ in range(3):
        async with deployment.working(echo):
            await deployment.client.send("ann", "hello")
            await deployment.replies(1)

    stream = deployment.names.messages(deployment.names.partition_of("ann"))
    assert len(await deployment.redis.xinfo_consumers(stream, "workers")) <= 1


@pytest.mark.asyncio
async def test_another_number_of_partitions_is_refused(deployment: Deployment) -> None:
    async with deployment.working(echo):
        await deployment.wait_shares(2)
    names = Names(deployment.names.prefix, partitions=3)
    broker = Broker(deployment.url, names, "other")
    with pytest.raises(ValueError, match=r"has 2 partitions, not 3"):
        await broker.check_settings()
    await broker.close()


def test_less_than_one_partition_is_refused() -> None:
    with pytest.raises(ValueError, match="partitions must be at least 1, not 0"):
        Names("any", partitions=0)


# A worker that stops


@pytest.mark.asyncio
async def test_worker_that_stops_finishes_what_is_in_hand_and_leaves_the_rest(
    deployment: Deployment,
) -> None:
    application = Holding()
    await deployment.client.send_many([("ann", "1"), ("ann", "2")])
    async with deployment.working(application) as worker:
        await application.next()
        worker.stop()
        await deployment.wait_members(0)
        application.go_on.release()

    assert application.received.empty()
    [reply] = await deployment.replies(1)
    assert reply.text == "1"
    assert len(await deployment.pending()) == 1
    assert await deployment.owners() == {}
    async with deployment.working(echo):
        [reply] = await deployment.replies(1)
        assert reply.text == "2"


@pytest.mark.asyncio
async def test_message_that_is_not_handled_within_the_grace_goes_to_the_next_owner(
    deployment: Deployment,
) -> None:
    slow, fast = Holding(), Holding()
    id = await deployment.client.send("ann", "hello")
    async with deployment.working(slow, grace=0.01):
        await slow.next()

    async with deployment.working(fast):
        again = await fast.next()
        fast.go_on.release()
        [reply] = await deployment.replies(1)

    assert slow.cancelled.is_set()
    assert (again["id"], again["deliveries"], reply.to) == (id, 2, id)


# A worker that dies


@pytest.mark.asyncio
async def test_messages_of_a_dead_worker_are_delivered_before_new_ones_and_counted(
    deployment: Deployment,
) -> None:
    dead = deployment.broker()
    await deployment.client.send_many([("ann", "1"), ("ann", "2")])
    taken = await dead.take(await owned_by(dead, deployment, "ann"), "0-0", 10)
    assert [entry.deliveries for entry in taken] == [0, 0]
    await deployment.client.send("ann", "3")
    await die(dead, deployment)

    application = Holding()
    async with deployment.working(application, window=1):
        received = []
        for _ in range(3):
            received.append(await application.next())
            # Written down before the application has it, as it might kill this worker, too.
            message = deployment.names.partition_of("ann"), received[-1]["id"]
            assert (await deployment.pending())[message] == received[-1]["deliveries"]
            application.go_on.release()
        await deployment.replies(3)

    assert [(each["text"], each["deliveries"]) for each in received] == [
        ("1", 2),
        ("2", 2),
        ("3", 1),
    ]


@pytest.mark.asyncio
async def test_message_whose_workers_die_ends_in_the_dead_letter_stream(
    deployment: Deployment,
) -> None:
    await deployment.client.send_many([("ann", "kills"), ("ann", "waits")])
    for number in range(1, 4):
        dead = deployment.broker()
        ownership = await owned_by(dead, deployment, "ann")
        kills, _waits = await dead.take(ownership, "0-0", 10)
        if number > 1:
            await dead.count_delivery(ownership, kills.id, kills.deliveries + 1)
        await die(dead, deployment)

    application = Holding()
    async with deployment.working(application, max_deliveries=3):
        [letter] = await deployment.dead(1)
        # It was taken as often as the other one, but never delivered: that is not held against it.
        received = await application.next()
        application.go_on.release()

    assert (letter["text"], letter["deliveries"]) == ("kills", "3")
    assert (received["text"], received["deliveries"]) == ("waits", 2)


# A worker that comes back when it has been taken to be dead


@pytest.mark.asyncio
async def test_former_owner_can_do_nothing(deployment: Deployment) -> None:
    await deployment.client.send_many([("ann", "1"), ("ann", "2")])
    former, owner = deployment.broker(), deployment.broker()
    old = await owned_by(former, deployment, "ann")
    [entry] = await former.take(old, "0-0", 1)
    await deployment.expire(former)
    new = await owned_by(owner, deployment, "ann")

    async def refused(operation: Any) -> None:
        with pytest.raises(OwnershipLostError):
            await operation

    await refused(former.take(old, entry.id, 1))
    await refused(former.write(old, [Written(entry.id, "ann", ["late"])]))
    await refused(former.count_delivery(old, entry.id, 2))
    await refused(former.bury(old, entry, "late"))
    await former.release(old)

    assert await owner.take(new, "0-0", 10) == [
        Entry(entry.id, {"scope": "ann", "text": "1"}, 1),
    ]
    assert await deployment.client.last_reply_id() == "0-0"
    assert set((await deployment.owners()).values()) == {owner.worker}
    await former.close()
    await owner.close()


@pytest.mark.asyncio
async def test_application_of_a_lost_partition_is_cancelled_and_its_reply_dropped(
    deployment: Deployment,
) -> None:
    application = Holding()
    await deployment.client.send("ann", "hello")
    async with deployment.working(application):
        await application.next()
        # As if the worker had been away, and another one had the partition by now.
        other = deployment.broker()
        partition = deployment.names.partition_of("ann")
        await other.balance(is_member=False)
        token = f"1000 {other.worker}"
        await deployment.redis.hset(deployment.names.owners, partition, token)
        application.go_on.release()
        await asyncio.wait_for(application.cancelled.wait(), 30)
        assert await deployment.client.last_reply_id() == "0-0"
        await other.close()


@pytest.mark.asyncio
async def test_every_script_may_be_sent_twice(deployment: Deployment) -> None:
    broker = deployment.broker()
    await deployment.client.send_many([("ann", "1"), ("ann", "2")])
    ownership = await owned_by(broker, deployment, "ann")

    once = await broker.take(ownership, "0-0", 1)
    again = await broker.take(ownership, "0-0", 1)
    assert [entry.id for entry in again] == [entry.id for entry in once]
    [second] = await broker.take(ownership, once[0].id, 1)
    for _ in range(2):
        await broker.write(ownership, [Written(once[0].id, "ann", ["reply"])])
        await broker.bury(ownership, second, "error")
        assert (await broker.balance(is_member=True)).owned[ownership.partition] == ownership
    for _ in range(2):
        await broker.release(ownership)
        await broker.leave()
    await broker.close()

    assert len(await deployment.redis.xrange(deployment.names.replies)) == 1
    assert len(await deployment.redis.xrange(deployment.names.dead)) == 1
    assert await deployment.pending() == {}
