"""What two clients say by UDP datagrams, and what they must hear."""

from __future__ import annotations

from demo.account import Account
from demo.chat_client import chatting
from demo.visit import Visit


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
