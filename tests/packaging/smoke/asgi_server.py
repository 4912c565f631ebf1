"""asgi-server alone: a round trip through the communicator, a server, old-style applications."""

import asyncio
import importlib
import logging
import warnings

import asgi_server
from asgi_server import StatelessServer
from asgi_server.compatibility import guarantee_single_callable, is_double_callable
from asgi_server.testing import ApplicationCommunicator
from asgi_server.timeout import timeout
from asgi_server.validation import ProtocolViolationError, validator

SUBMODULES = ["compatibility", "extensions", "testing", "timeout", "typing", "validation"]


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"asgi_server: {what}")


def check_names() -> None:
    check("StatelessServer" in asgi_server.__all__, "StatelessServer is not public")
    for module in [asgi_server, *(importlib.import_module(f"asgi_server.{n}") for n in SUBMODULES)]:
        for name in module.__all__:
            check(hasattr(module, name), f"{module.__name__}.{name} does not exist")


async def echo(scope, receive, send):
    while (message := await receive())["type"] != "bye":
        await send({"type": "echo", "text": message["text"], "path": scope["path"]})


async def check_communicator() -> None:
    communicator = ApplicationCommunicator(echo, {"type": "test", "path": "/x"})
    await communicator.send_input({"type": "say", "text": "hello"})
    answer = await communicator.receive_output(timeout=1)
    check(answer == {"type": "echo", "text": "hello", "path": "/x"}, f"echo answered {answer}")
    check(await communicator.receive_nothing(timeout=0.01), "something more was sent")
    await communicator.send_input({"type": "bye"})
    await communicator.wait(timeout=1)


class OldStyle:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await send({"type": "echo", "text": "", "path": self.scope["path"]})


async def check_double_callable() -> None:
    check(is_double_callable(OldStyle) and not is_double_callable(echo), "is_double_callable")
    application = guarantee_single_callable(OldStyle)
    communicator = ApplicationCommunicator(application, {"type": "test", "path": "/old"})
    answer = await communicator.receive_output(timeout=1)
    check(answer["path"] == "/old", "an old-style application did not answer")
    await communicator.wait(timeout=1)


async def check_validator() -> None:
    # What is found is logged as well, which without a handler goes to the standard error.
    logging.getLogger("asgi_server.validation").addHandler(logging.NullHandler())
    communicator = ApplicationCommunicator(validator(echo), {"type": "http"})
    try:
        await communicator.wait(timeout=1)
    except ProtocolViolationError as error:
        check(error.rule == "http.scope/http_version/missing", f"{error.rule} was found")
    else:
        check(False, "nothing was found wrong with a scope without keys")


async def check_timeout() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        limit = timeout(0.001)
    try:
        async with limit:
            await asyncio.Event().wait()
    except TimeoutError:
        check(limit.expired, "a limit that has passed is not `expired`")
    else:
        check(False, "timeout() let everything pass")


async def check_server() -> None:
    answered = asyncio.Event()

    class Server(StatelessServer):
        async def handle(self):
            queue = self.get_or_create_application_instance("one", {"type": "test", "path": "/s"})
            await queue.put({"type": "say", "text": "hello"})
            await answered.wait()

        async def application_send(self, scope, message):
            check(message["text"] == "hello" and scope["path"] == "/s", "a server's application")
            answered.set()

    async with asyncio.timeout(5):
        await Server(echo).arun()
    check(answered.is_set(), "a server returned before its application answered")


if __name__ == "__main__":
    check_names()
    asyncio.run(check_communicator())
    asyncio.run(check_double_callable())
    asyncio.run(check_validator())
    asyncio.run(check_timeout())
    asyncio.run(check_server())
