"""What the client asks for to see which code ran in which thread, for which request."""

from __future__ import annotations

import asyncio
import itertools

from demo.account import Account
from demo.application import SITE_THREADS
from demo.visit import Answer, Visit

# As many as the site has threads: not one may be taken by anything else.
CROWD = SITE_THREADS


async def async_endpoint(visit: Visit) -> None:
    account = visit.account
    account.section(
        "Async code that uses a database bound to its thread",
        "notes.py",
        "POST /notes is async code. It keeps the note by sqlite3, whose connections refuse any "
        "other thread than their own, so sync_to_async takes every call of one request to one "
        "thread. Deep in there, sync code announces the note by async code, for which "
        "async_to_sync takes it back to the event loop.",
    )
    note = {"author": "Ada", "text": "it works"}
    answer = await visit.ask("POST", "/notes", "ada-1", json=note)
    account.steps("What POST /notes led to", answer.steps)
    kinds = [step.kind for step in answer.steps]
    account.check(
        "the request went async, async, sync, async, sync",
        kinds == ["async", "async", "sync", "async", "sync"],
        kinds,
    )
    account.check(
        "all async code ran in one thread, that of the event loop",
        len(answer.threads("async")) == 1,
        answer.steps,
    )
    account.check(
        "both SQLite calls ran in one thread, which is another",
        len(answer.threads("sync")) == 1 and not answer.threads("sync") & answer.threads("async"),
        answer.steps,
    )
    account.check("the request id was the same in all of them", answer.id_is_intact, answer.steps)


async def flask_view(visit: Visit) -> None:
    account = visit.account
    account.section(
        "A Flask view that awaits async code",
        "flask_site.py",
        "GET /site/overview is Flask, a WSGI application: WsgiToAsgi runs each request on a "
        "worker thread. The view waits, by async_to_sync, for async code that asks the database "
        "two questions in two tasks. That is the same code as above; but now a thread waits for "
        "it, so SQLite runs right there, and nothing needs another thread.",
    )
    answer = await visit.ask("GET", "/site/overview", "flask-1")
    account.steps("What GET /site/overview led to", answer.steps)
    account.check(
        "the numbers are right: 1 note by 1 author",
        answer.content == {"notes": 1, "authors": 1},
        answer.content,
    )
    account.check(
        "the async code ran on the event loop, as the middleware did",
        len(answer.threads("async")) == 1,
        answer.steps,
    )
    account.check(
        "the view and the SQLite calls below it ran in one thread, which is another",
        len(answer.threads("sync")) == 1 and not answer.threads("sync") & answer.threads("async"),
        answer.steps,
    )
    account.check("the request id was the same in all of them", answer.id_is_intact, answer.steps)


async def all_at_once(visit: Visit) -> None:
    account = visit.account
    account.section(
        f"{2 * CROWD} requests at once",
        "flask_site.py, notes.py, trail.py",
        f"{CROWD} Flask views each wait, in their threads, until all {CROWD} of them are there; "
        "if only one had to queue for a thread, all would wait for ever. Beside them, as many "
        "notes are posted. Each request has an id of its own.",
    )
    meetings = [
        visit.ask("GET", f"/site/meeting/{CROWD}", f"meeting-{number}") for number in range(CROWD)
    ]
    posts = [
        visit.ask("POST", "/notes", f"post-{number}", json={"author": "Bob", "text": str(number)})
        for number in range(CROWD)
    ]
    answers = await asyncio.gather(*meetings, *posts)
    _check_crowds(account, answers[:CROWD], answers[CROWD:])


def _check_crowds(account: Account, met: list[Answer], posted: list[Answer]) -> None:
    answers = met + posted
    account.table(
        "Who ran where",
        ("requests", "ids sent", "ids intact", "threads of sync code", "threads of async code"),
        [_summary("Flask views", met), _summary("posted notes", posted)],
    )
    account.check(
        f"all {2 * CROWD} requests kept their ids, on every side of every crossing",
        all(answer.id_is_intact for answer in answers),
        [answer.request_id for answer in answers if not answer.id_is_intact],
    )
    account.check(
        f"{CROWD} views waited at the same time, in {CROWD} threads",
        len(_threads(met, "sync")) == CROWD,
        _threads(met, "sync"),
    )
    account.check(
        "each posted note kept to one thread for all its SQLite calls",
        all(len(answer.threads("sync")) == 1 for answer in posted),
        [answer.steps for answer in posted if len(answer.threads("sync")) != 1],
    )
    account.check(
        "all async code of all of them ran in one thread",
        len(_threads(answers, "async")) == 1,
        _threads(answers, "async"),
    )


def _threads(answers: list[Answer], kind: str) -> set[int]:
    return set(itertools.chain.from_iterable(answer.threads(kind) for answer in answers))


def _summary(what: str, answers: list[Answer]) -> tuple[str, ...]:
    return (
        f"{len(answers)} {what}",
        str(len({answer.request_id for answer in answers})),
        str(sum(answer.id_is_intact for answer in answers)),
        str(len(_threads(answers, "sync"))),
        str(len(_threads(answers, "async"))),
    )
