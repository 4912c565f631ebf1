"""The client: what it asks for over real sockets, and what must be true of the answers."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from demo import interrupts
from demo.account import Account
from demo.chat_client import chatting
from demo.serving import CollectedLog
from demo.visit import Answer, Visit

# Everything is on loopback and takes milliseconds; without a limit, a broken promise would hang.
PATIENCE_SECONDS = 20.0

# More than the threads that the bridge runs at once, unless they wait for async code.
CROWD = 40

UPLOAD_PIECES = 64
UPLOAD_PIECE_BYTES = 64 * 1024

BROKEN_SERVICE = "ConnectionError: the service is not there"
HERE = Path(__file__).parent


async def drive(url: str, log: CollectedLog, account: Account) -> None:
    """Go through all sections, one after the other; Ctrl-C cancels this."""
    interrupts.heed_only_first()
    # No proxy that the environment names: the server is on loopback.
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        visit = Visit(client, log, account)
        for section in SECTIONS:
            try:
                await section(visit)
            except Exception as error:
                # Whatever it is: a broken promise shows in many ways, and those that follow
                # are worth a look all the same.
                account.check(f"the section '{section.__name__}' comes to its end", False, error)


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


async def upload(visit: Visit) -> None:
    account = visit.account
    size = UPLOAD_PIECES * UPLOAD_PIECE_BYTES
    account.section(
        "An upload",
        "flask_site.py",
        f"POST /site/upload gets {size // 2**20} MiB in {UPLOAD_PIECES} pieces, its length not "
        "announced. The Flask view reads them from a file object, as WSGI has it.",
    )
    random_bytes = random.Random(42).randbytes
    pieces = [random_bytes(UPLOAD_PIECE_BYTES) for _ in range(UPLOAD_PIECES)]

    async def one_after_the_other() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    answer = await visit.ask("POST", "/site/upload", "upload-1", content=one_after_the_other())
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    account.table(
        "What was sent, and what the view got",
        ("", "bytes", "SHA-256 begins"),
        [
            ("sent", f"{size:,}", digest[:16]),
            ("got", f"{answer.content['bytes']:,}", answer.content["sha256"][:16]),
        ],
    )
    account.check(
        "every byte arrived, in order",
        answer.content == {"bytes": size, "sha256": digest},
        answer.content,
    )


async def streaming(visit: Visit) -> None:
    account = visit.account
    account.section(
        "A response that streams",
        "flask_site.py",
        "GET /site/countdown/demo is a Flask response made by a generator, which after every "
        "line waits for an acknowledgement. The client sends it, as another request, when it has "
        "read the line: if anything between them kept lines back, both would wait for ever.",
    )
    lines = []
    async with visit.client.stream("GET", "/site/countdown/demo") as response:
        async for text in response.aiter_text():
            lines.append(text.strip())
            if lines[-1] != "lift-off":
                acknowledgement = await visit.client.post("/site/countdown/demo/acknowledge")
                acknowledgement.raise_for_status()
    account.table(
        "In this order",
        ("the client read", "and then"),
        [(line, "acknowledged it" if line != "lift-off" else "was done") for line in lines],
    )
    account.check(
        "each line was read before the next was written",
        lines == ["3", "2", "1", "lift-off"],
        lines,
    )


async def failures(visit: Visit) -> None:
    account = visit.account
    account.section(
        "Requests that fail",
        "notes.py, flask_site.py",
        "GET /notes/wrong-thread makes the mistake that thread-sensitive calls prevent: it uses "
        "an SQLite connection in any thread. GET /site/broken is a Flask view whose async code "
        "raises. Both must be answered, and the server's log must tell where it happened.",
    )
    responses = [await visit.client.get(path) for path in ("/notes/wrong-thread", "/site/broken")]
    errors = [_told(error) for error in visit.log.errors]
    account.table("What the server's log tells", ("raised in, called by", "error"), errors)
    statuses = [response.status_code for response in responses]
    account.check("both were answered with status 500", statuses == [500, 500], statuses)
    account.check(
        "SQLite refuses a wrong thread aloud, so all its calls above were in the right one",
        len(errors) == 2 and errors[0][1].startswith("ProgrammingError: SQLite objects created"),
        errors,
    )
    account.check(
        "the error of async code tells of the view that called it, across the threads",
        len(errors) == 2 and errors[1] == ("ask_broken_service, broken", BROKEN_SERVICE),
        errors,
    )
    answer = await visit.ask("GET", "/notes", "afterwards")
    account.check("the server goes on", answer.id_is_intact, answer)


async def chat(visit: Visit) -> None:
    account = visit.account
    account.section(
        "Conversations without connections",
        "chat_server.py",
        "Beside HTTP, the same event loop serves a chat over UDP. A StatelessServer runs one "
        "application for each sender, which remembers in a local variable what was said. "
        "And when a note is posted, by HTTP, everybody in the chat hears of it.",
    )
    place = (await visit.ask("GET", "/chat", "where-is-the-chat")).content
    async with chatting(**place) as ada, chatting(**place) as bob:
        heard = [
            ("Ada", "hello", await ada.say("hello")),
            ("Bob", "good morning", await bob.say("good morning")),
            ("Ada", "and goodbye", await ada.say("and goodbye")),
            ("Bob", "so soon?", await bob.say("so soon?")),
        ]
        note = {"author": "Eve", "text": "lunch is ready"}
        await visit.ask("POST", "/notes", "eve-1", json=note)
        news = [await ada.hear(), await bob.hear()]
    account.table(
        "Datagrams",
        ("who", "said", "heard"),
        [*heard, ("Ada", "(nothing)", news[0]), ("Bob", "(nothing)", news[1])],
    )
    _check_replies(account, [reply for _, _, reply in heard])
    account.check(
        "both heard of the note that was posted by HTTP",
        news == ["Eve has a new note: lunch is ready"] * 2,
        news,
    )


def _check_replies(account: Account, replies: list[str]) -> None:
    account.check(
        "each sender had a conversation of its own, which remembered",
        replies
        == [
            "1: hello (you began with: hello)",
            "1: good morning (you began with: good morning)",
            "2: and goodbye (you began with: hello)",
            "2: so soon? (you began with: good morning)",
        ],
        replies,
    )


SECTIONS = (async_endpoint, flask_view, all_at_once, upload, streaming, failures, chat)


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


def _told(error: BaseException) -> tuple[str, str]:
    """Return the last two functions of the demo that an error came from, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame.name for frame in frames if Path(frame.filename).parent == HERE]
    return ", ".join(reversed(ours[-2:])), f"{type(error).__name__}: {error}"
