"""Requests of the client that fail, and what must be told of them."""

from __future__ import annotations

import traceback
from pathlib import Path

from demo.visit import Visit

BROKEN_SERVICE = "ConnectionError: the service is not there"
HERE = Path(__file__).parent


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


def _told(error: BaseException) -> tuple[str, str]:
    """Return the last two functions of the demo that an error came from, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame.name for frame in frames if Path(frame.filename).parent == HERE]
    return ", ".join(reversed(ours[-2:])), f"{type(error).__name__}: {error}"
