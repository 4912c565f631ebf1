"""The two ways to run the demo: go through it and end, or serve until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from pathlib import Path

import httpx
from rich.console import Console

from demo.account import Account
from demo.application import make_application
from demo.drive import drive
from demo.serving import CollectedLog, RunningServer, collected_log, listen, running

TO_TRY = """\
Serving on {url} until Ctrl-C. From another terminal:

  curl -H 'X-Request-Id: mine' --json '{{"author": "Ada", "text": "it works"}}' {url}/notes
  curl {url}/notes
  curl -H 'X-Request-Id: yours' {url}/site/overview
  head -c 5000000 /dev/urandom | curl -T - -X POST {url}/site/upload
  curl -N {url}/site/countdown/mine     # and, in a third terminal, for each line:
  curl -X POST {url}/site/countdown/mine/acknowledge
  curl -i {url}/site/broken
  curl {url}/chat                       # UDP; then type lines into:
  nc -u {chat_host} {chat_port}
"""


class CannotRunError(Exception):
    """The demo cannot do its work here; the text is for whoever started it."""


def demonstrate(port: int) -> int:
    """Serve, drive the server as its client, print the account; return the exit status."""
    account = Account(Console())
    with _open_listener(port) as listener, collected_log() as log:
        with tempfile.TemporaryDirectory(prefix="asgi-demo-") as folder:
            application = make_application(Path(folder) / "notes.sqlite")
            with running(application, listener) as server:
                _introduce(account, server)
                asyncio.run(drive(server.url, log, account))
        _check_nothing_is_left(account, server, Path(folder), log)
    return account.verdict()


def serve(port: int) -> None:
    """Serve until interrupted. Raises CannotRunError if the server ends by itself."""
    with (
        _open_listener(port) as listener,
        tempfile.TemporaryDirectory(prefix="asgi-demo-") as folder,
    ):
        application = make_application(Path(folder) / "notes.sqlite")
        with running(application, listener) as server:
            print(TO_TRY.format(url=server.url, **_chat_address(server)), flush=True)
            # Not without a limit: on Windows such a wait cannot be interrupted.
            while not server.ended.wait(1.0):
                pass
    raise CannotRunError("the server has ended by itself; see above")


def _open_listener(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CannotRunError(f"cannot listen on port {port}: {reason}") from error


def _introduce(account: Account, server: RunningServer) -> None:
    account.title(
        "sync and async code in one application",
        f"A server (uvicorn) now runs on {server.url}, with one application: async code over "
        "SQLite, a Flask site, and a chat over UDP. This program is also its client, and asks for "
        "everything over real sockets.\n"
        "Each function on the way notes in which thread it runs and which request it believes to "
        "serve. Letters tell threads apart; worker threads are reused, and named after the work "
        "that they do at the time.\n"
        "What the code promises is checked. A broken promise makes the exit status 1.",
    )


def _chat_address(server: RunningServer) -> dict[str, str]:
    """Ask the server where its chat is, and so wait until it serves."""
    try:
        chat = httpx.get(f"{server.url}/chat", trust_env=False).json()
    except httpx.HTTPError as error:
        raise CannotRunError(f"the server does not answer: {error}") from error
    return {"chat_host": chat["host"], "chat_port": chat["port"]}


def _check_nothing_is_left(
    account: Account, server: RunningServer, folder: Path, log: CollectedLog
) -> None:
    account.section(
        "The end",
        "serving.py",
        "The server has been told to stop, and has. Idle worker threads are kept for the next "
        "call, and end with the process.",
    )
    account.check("the server has ended, and its port is closed", _refuses(server))
    account.check("the folder of the database is gone", not folder.exists(), folder)
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    account.check(
        "no thread keeps the process from ending", others == [threading.main_thread()], others
    )
    account.check(
        "the log has no error but the two that were asked for", len(log.errors) == 2, log.errors
    )


def _refuses(server: RunningServer) -> bool:
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return server.ended.is_set()
    return False
