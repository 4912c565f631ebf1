"""The client: goes through all that it asks for, over real sockets."""

from __future__ import annotations

import httpx

from demo import interrupts
from demo.account import Account
from demo.bodies import streaming, upload
from demo.conversations import chat
from demo.crossings import all_at_once, async_endpoint, flask_view
from demo.failures import failures
from demo.serving import CollectedLog
from demo.visit import Visit

# Everything is on loopback and takes milliseconds; without a limit, a broken promise would hang.
PATIENCE_SECONDS = 20.0

# In the order of the account; each asks, and checks what must be true of the answers.
SECTIONS = (async_endpoint, flask_view, all_at_once, upload, streaming, failures, chat)


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
