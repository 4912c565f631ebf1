"""What the client sends and reads in pieces: the bodies of requests and of responses."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator

from demo.visit import Visit

UPLOAD_PIECES = 64
UPLOAD_PIECE_BYTES = 64 * 1024


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
