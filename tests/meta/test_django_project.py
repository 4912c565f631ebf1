"""The Django project of the examples, on these packages: served by uvicorn, and its commands."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.example_project import PROJECT, UVICORN, Bank, Running, copy_of_project

OURS = "asgi_sync._sync_to_async"
AT_ONCE = 10


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    made = Bank(PROJECT, tmp_path_factory.mktemp("bank") / "bank.sqlite3")
    made.command("migrate")
    return made


@pytest.fixture(scope="module")
def server(bank: Bank) -> Iterator[Running]:
    with bank.running(*UVICORN) as running:
        yield running
        # Elsewhere there is no signal that tells a process to end, and that it can handle.
        if sys.platform != "win32":
            assert_ends_in_good_order(running)


def assert_ends_in_good_order(running: Running) -> None:
    printed = running.ended()
    assert "Finished server process" in printed
    assert "Exception ignored" not in printed
    assert "never awaited" not in printed


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url(), trust_env=False, timeout=30) as client:
        yield client


def accounts(client: httpx.Client) -> dict[str, int]:
    return client.get("/accounts").json()


def test_the_server_runs_on_ours_without_a_line_changed(client: httpx.Client) -> None:
    assert client.get("/about").json()["sync_to_async"] == OURS
    for file in PROJECT.rglob("*.py"):
        for line in file.read_text().splitlines():
            assert not line.startswith(("import asgi_", "from asgi_")), f"{file}: {line}"


@pytest.mark.parametrize("path", ["/", "/async"])
def test_sync_and_async_views_answer(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, "Hello")


def test_middleware_of_each_kind_has_seen_the_request(client: httpx.Client) -> None:
    headers = client.get("/async").headers
    assert headers["Server-Timing"].startswith("total;dur=")
    assert int(headers["X-Request-Number"]) > 0
    assert headers["X-In-Flight"] == "0"


def test_a_context_variable_that_sync_middleware_sets_is_there_in_an_async_view(
    client: httpx.Client,
) -> None:
    answer = client.get("/about")
    assert answer.json()["request"] == int(answer.headers["X-Request-Number"])


def test_an_async_view_loops_over_the_orm(client: httpx.Client) -> None:
    held = accounts(client)
    expected = {"accounts": len(held), "cents": sum(held.values())}
    assert client.get("/total").json() == expected


def test_a_sync_view_waits_for_async_code_that_uses_the_orm(client: httpx.Client) -> None:
    assert client.get("/quotes").json() == {"north": 2.2, "south": 2.2}


def test_a_transfer_is_made_whole(client: httpx.Client) -> None:
    before = accounts(client)
    answer = client.post("/transfer", data={"from": "ann", "to": "bob", "amount": 7})
    assert answer.status_code == 200
    assert accounts(client) == {"ann": before["ann"] - 7, "bob": before["bob"] + 7}


def test_a_transfer_that_is_refused_leaves_nothing_half_done(client: httpx.Client) -> None:
    before = accounts(client)
    answer = client.post("/transfer", data={"from": "ann", "to": "bob", "amount": 10**9})
    assert (answer.status_code, answer.json()) == (409, {"error": "ann has less than 1000000000"})
    assert accounts(client) == before


def test_an_async_view_makes_transactions_by_sync_code(client: httpx.Client) -> None:
    before = accounts(client)
    answer = client.post("/transfer-twice", data={"from": "ann", "to": "bob", "amount": 7})
    assert answer.json() == {"refused": []}
    assert accounts(client) == before


def test_a_streaming_view_sends_what_async_code_reads_from_the_database(
    client: httpx.Client,
) -> None:
    # More than the view reads from the database at once.
    for _ in range(21):
        client.post("/transfer", data={"from": "bob", "to": "ann", "amount": 1})
    lines = client.get("/statement/bob").text.splitlines()
    assert lines[0] == "# bob"
    assert Counter(lines[1:])["ann 1"] == 21


def test_a_view_that_raises_is_answered_and_the_server_goes_on(client: httpx.Client) -> None:
    assert client.get("/statement/nobody").status_code == 500
    assert client.get("/").status_code == 200


PATHS = ("/", "/async", "/about", "/accounts", "/total", "/statement/ann", "/quotes")


async def send_many(url: str, requests: int, at_once: int) -> Counter[int]:
    """Send requests for all paths in turn, so many at the same time; the answers by status."""
    free = asyncio.Semaphore(at_once)
    limits = httpx.Limits(max_connections=at_once)

    async with httpx.AsyncClient(
        base_url=url, limits=limits, trust_env=False, timeout=30
    ) as client:

        async def send(number: int) -> int:
            async with free:
                if number % 10 == 0:
                    data = {"from": "ann", "to": "bob", "amount": 1}
                    return (await client.post("/transfer", data=data)).status_code
                return (await client.get(PATHS[number % len(PATHS)])).status_code

        return Counter(await asyncio.gather(*map(send, range(requests))))


def test_threads_and_database_connections_are_bounded_by_what_runs_at_once(
    bank: Bank, server: Running, client: httpx.Client
) -> None:
    before = accounts(client)
    answers = asyncio.run(send_many(str(client.base_url), 300, AT_ONCE))
    assert answers == {200: 300}
    assert accounts(client) == {"ann": before["ann"] - 30, "bob": before["bob"] + 30}
    # The main thread, and the workers of requests, of which each connection may have one that
    # closes its response and one that is next. With some to spare, but for no more requests.
    assert server.process.num_threads() <= 1 + 3 * AT_ONCE
    # Each request closes its own, in the thread that opened it; the last may not be there yet.
    while server.database_connections(bank.database):
        pass


# Commands


def test_a_command_waits_for_async_code_that_uses_the_orm(bank: Bank, client: httpx.Client) -> None:
    before = accounts(client)
    assert bank.command("add_interest", "2") == "2 % added to 2 accounts\n"
    assert accounts(client) == {owner: held + held * 2 // 100 for owner, held in before.items()}


# Each account is one cent poorer as soon as it has been read.
SPENT_MEANWHILE = """
from django.apps import apps
from django.core.management import call_command
from django.db.models import F
from django.db.models.signals import post_init

Account = apps.get_model("bank", "Account")

def spend(instance, **_):
    Account.objects.filter(pk=instance.pk).update(balance=F("balance") - 1)

post_init.connect(spend, Account)
call_command("add_interest", "0")
"""


def test_a_command_does_not_undo_transfers_that_are_made_meanwhile(
    bank: Bank, client: httpx.Client
) -> None:
    before = accounts(client)
    bank.command("shell", "-c", SPENT_MEANWHILE)
    assert accounts(client) == {owner: held - 1 for owner, held in before.items()}


# Takes over a second: the development server looks for changes once a second.
def test_the_development_server_is_on_ours_also_after_it_has_reloaded(
    bank: Bank, tmp_path: Path
) -> None:
    project = copy_of_project(tmp_path)
    settings = project / "project" / "settings.py"
    # To have it say when it reloads.
    settings.write_text(settings.read_text().replace("DEBUG = False", "DEBUG = True"))
    reloading = Bank(project, bank.database)
    with reloading.running("manage.py", "runserver", "127.0.0.1:0") as running:
        assert_is_on_ours(running)
        # What changes before Django has looked at all files for the first time is no change.
        views = project / "bank" / "views.py"
        for later in itertools.count(1):
            changed = views.stat().st_mtime + later
            os.utime(views, (changed, changed))
            if running.has_line_with("changed, reloading", seconds=2):
                break
        assert_is_on_ours(running)


def assert_is_on_ours(running: Running) -> None:
    answer = httpx.get(f"{running.url()}/about", trust_env=False, timeout=30)
    assert answer.json()["sync_to_async"] == OURS
