"""The example `redis_streams` with workers that are processes, and faults that are real."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.audited_accounts import handled_key, held_key, let_go_key
from helpers.redis_streams import PATIENCE, Deployment, RedisServer, deployed, echo

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "packages" / "asgi-server" / "examples" / "redis_streams"
PARTITIONS = 6


def command(deployment: Deployment, *arguments: str) -> list[str]:
    names = deployment.names
    keys = ["--redis", deployment.url, "--prefix", names.prefix]
    partitions = ["--partitions", str(names.partitions)]
    return [sys.executable, "-W", "error", str(EXAMPLE), *keys, *partitions, *arguments]


class Workers:
    """Worker processes with the audited application."""

    def __init__(self, deployment: Deployment, lease: float) -> None:
        self._deployment = deployment
        self._lease = lease
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def start(self) -> int:
        """Start one; return its process id."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "tests"),
            "AUDIT_PREFIX": self._deployment.names.prefix,
        }
        process = subprocess.Popen(
            command(
                self._deployment,
                "worker",
                f"--lease={self._lease}",
                "--application=helpers.audited_accounts:application",
            ),
            env=environment,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.processes[process.pid] = process
        return process.pid

    def read_errors_until(self, pid: int, pattern: str) -> None:
        """Read lines of the standard error of one up to one in which the pattern is found."""
        lines = []
        stderr = self.processes[pid].stderr
        assert stderr is not None
        for line in stderr:
            lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError("".join(lines))

    def wait_ended(self, pid: int) -> int:
        """Wait until one has ended; return its status."""
        process = self.processes.pop(pid)
        process.communicate(timeout=PATIENCE)
        return process.returncode

    @contextlib.contextmanager
    def running(self, number: int) -> Iterator[Workers]:
        try:
            for _ in range(number):
                self.start()
            yield self
        finally:
            for process in self.processes.values():
                process.kill()
                process.communicate()


def scopes_of(deployment: Deployment, partition: int, number: int) -> list[str]:
    """Return scope ids that no other test has, all of one partition."""
    candidates = (f"{deployment.names.prefix}-{number}" for number in range(10_000))
    partition_of = deployment.names.partition_of
    return [each for each in candidates if partition_of(each) == partition][:number]


async def held_by(deployment: Deployment) -> int:
    """Wait until a worker holds a message; return its process id."""
    key = held_key(deployment.names.prefix)
    while not (found := await deployment.redis.blpop([key], timeout=2)):
        pass
    return int(found[1])


async def handled(deployment: Deployment) -> list[tuple[str, str, int]]:
    key = handled_key(deployment.names.prefix)
    return [tuple(json.loads(each)) for each in await deployment.redis.lrange(key, 0, -1)]


ADD = '{"add": 1}'
# Held by the first worker that gets it, before or after it has changed the account.
HOLD_BEFORE, HOLD_AFTER = '{"add": 1, "hold": "before"}', '{"add": 1, "hold": "after"}'


# Takes over a second: interpreters start, and the survivors wait for the end of a lease.
@pytest.mark.asyncio
async def test_every_message_is_accounted_for_when_one_of_three_workers_is_killed(
    redis_url: str,
) -> None:
    async with deployed(redis_url, PARTITIONS) as deployment:
        held_scopes = scopes_of(deployment, 0, 3)
        scopes = [
            scope for each in range(1, PARTITIONS) for scope in scopes_of(deployment, each, 10)
        ] + held_scopes
        sent: list[tuple[str, str]] = []

        async def send(messages: Sequence[tuple[str, str]]) -> None:
            ids = await deployment.client.send_many(messages)
            sent.extend(zip((scope for scope, _ in messages), ids, strict=True))

        with Workers(deployment, lease=3).running(3) as workers:
            await deployment.wait_shares(2, 2, 2)
            await send([(scope, ADD) for scope in scopes] * 4)
            await send([(scope, HOLD_AFTER) for scope in held_scopes])
            victims = {await held_by(deployment) for _ in held_scopes}
            await send([(scope, ADD) for scope in scopes] * 4)
            [victim] = victims
            os.kill(victim, signal.SIGKILL)
            assert workers.wait_ended(victim) == -signal.SIGKILL
            await send([(scope, ADD) for scope in scopes] * 4)
            replies = await deployment.replies(len(sent))
            await deployment.wait_shares(3, 3)

        # Each message is answered, once, and in order for each scope.
        assert Counter((reply.scope_id, reply.to) for reply in replies) == Counter(sent)
        answers = defaultdict(list)
        for reply in replies:
            answers[reply.scope_id].append(reply)
        for scope in scopes:
            ids = [id for each, id in sent if each == scope]
            assert [reply.to for reply in answers[scope]] == ids
            # Each has changed the account once, although some were delivered twice.
            balances = [json.loads(reply.text)["balance"] for reply in answers[scope]]
            assert balances == list(range(1, len(ids) + 1))

        # Handled twice is only what the victim had in hand: a survivor has answered it. As a
        # worker acknowledges and replies in one step, the victim had not acknowledged it.
        processes = defaultdict(list)
        order = defaultdict(list)
        for scope, id, process in await handled(deployment):
            processes[scope, id].append(process)
            order[scope].append(tuple(map(int, id.split("-"))))
        answered_by = {
            (reply.scope_id, reply.to): json.loads(reply.text)["process"] for reply in replies
        }
        twice = {message: by for message, by in processes.items() if len(by) > 1}
        for message, by in twice.items():
            assert by == [victim, answered_by[message]]
            assert answered_by[message] != victim
        assert {scope for scope, _ in twice} >= set(held_scopes)
        assert set(processes) == set(sent)
        assert all(ids == sorted(ids) for ids in order.values())
        assert await deployment.pending() == {}


# Takes over a second: interpreters start.
@pytest.mark.asyncio
async def test_sigterm_hands_over_at_once_and_nothing_is_handled_twice(redis_url: str) -> None:
    async with deployed(redis_url, PARTITIONS) as deployment:
        [scope] = scopes_of(deployment, 0, 1)
        # So long that a test that waits for it fails.
        with Workers(deployment, lease=10 * PATIENCE).running(2) as workers:
            await deployment.wait_shares(3, 3)
            await deployment.client.send_many([(scope, HOLD_AFTER), (scope, ADD), (scope, ADD)])
            stopped = await held_by(deployment)
            os.kill(stopped, signal.SIGTERM)
            # What has nothing in hand is handed over before the message that is held is handled.
            await deployment.wait_shares(1, 5)
            await deployment.redis.rpush(let_go_key(deployment.names.prefix), "go")
            replies = await deployment.replies(3)
            await deployment.wait_shares(6)
            assert workers.wait_ended(stopped) == 0
            [other] = workers.processes

        texts = [json.loads(reply.text) for reply in replies]
        assert texts == [
            {"balance": 1, "process": stopped},
            {"balance": 2, "process": other},
            {"balance": 3, "process": other},
        ]
        assert [process for _, _, process in await handled(deployment)] == [stopped, other, other]


# Takes over a second: interpreters start, and a worker waits for the end of a lease.
@pytest.mark.asyncio
async def test_worker_that_is_suspended_and_goes_on_cannot_answer_any_more(redis_url: str) -> None:
    async with deployed(redis_url, PARTITIONS) as deployment:
        [scope] = scopes_of(deployment, 0, 1)
        with Workers(deployment, lease=1).running(2) as workers:
            await deployment.wait_shares(3, 3)
            await deployment.client.send_many([(scope, HOLD_BEFORE), (scope, ADD)])
            suspended = await held_by(deployment)
            os.kill(suspended, signal.SIGSTOP)
            replies = await deployment.replies(2)
            await deployment.redis.rpush(let_go_key(deployment.names.prefix), "go")
            os.kill(suspended, signal.SIGCONT)
            workers.read_errors_until(suspended, "was lost to another worker")
            # It takes a share again, and goes on as before.
            await deployment.wait_shares(3, 3)
            await deployment.client.send(scope, ADD)
            replies += await deployment.replies(1)

        texts = [json.loads(reply.text) for reply in replies]
        assert [text["balance"] for text in texts] == [1, 2, 3]
        assert suspended not in {text["process"] for text in texts[:2]}
        assert await deployment.redis.xlen(deployment.names.replies) == 3


# Takes over a second: an interpreter starts, imports rich, and messages are answered.
@pytest.mark.asyncio
async def test_load_is_answered_and_its_speed_printed(redis_url: str) -> None:
    async with deployed(redis_url, PARTITIONS) as deployment:
        with Workers(deployment, lease=60).running(1):
            load = subprocess.run(
                command(deployment, "load", "--messages=500", "--scopes=30"),
                capture_output=True,
                encoding="utf-8",
                env={**os.environ, "COLUMNS": "100"},
                timeout=PATIENCE,
                check=False,
            )

    assert (load.returncode, load.stderr) == (0, "")
    assert re.search(r"│ 500 +│ 30 +│ +[\d.]+ +│ +[\d,]+ +│", load.stdout)


# Lost connections


@pytest.mark.asyncio
async def test_connections_that_are_lost_cost_no_message_and_no_order(
    deployment: Deployment,
) -> None:
    sent = [(f"scope-{number % 10}", str(number)) for number in range(500)]
    replies: list[Any] = []
    async with deployment.working(echo, window=20):
        await deployment.client.send_many(sent)
        while len(replies) < 500:
            replies += await deployment.replies(25)
            await deployment.redis.client_kill_filter(_type="normal", skipme=True)

    for scope in {scope for scope, _ in sent}:
        assert [each.text for each in replies if each.scope_id == scope] == [
            text for each, text in sent if each == scope
        ]


@pytest.mark.asyncio
async def test_redis_that_is_killed_and_started_again_costs_no_message_and_no_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    sent = [(f"scope-{number % 10}", str(number)) for number in range(200)]
    with server.running():
        async with deployed(server.url) as deployment, deployment.working(echo, window=5):
            await deployment.client.send_many(sent)
            replies = await deployment.replies(20)
            server.stop()
            server.start()
            replies += await deployment.replies(180)

    for scope in {scope for scope, _ in sent}:
        assert [each.text for each in replies if each.scope_id == scope] == [
            text for each, text in sent if each == scope
        ]
    messages = [record.getMessage() for record in caplog.records]
    assert any(each.startswith("Redis cannot be used now") for each in messages)
    assert "Redis can be used again" in messages
