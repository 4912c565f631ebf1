"""What type checkers know of servers, of the communicator, and of ASGI messages."""

from collections.abc import Iterable
from typing import Any, assert_type

from asgi_server import (
    ApplicationDetails,
    ApplicationEnd,
    EndCause,
    InputQueue,
    ServerCounters,
    StatelessServer,
)
from asgi_server.compatibility import guarantee_single_callable, is_double_callable
from asgi_server.testing import (
    ApplicationCommunicator,
    HTTPCommunicator,
    Lifespan,
    WebSocketClosedError,
    WebSocketCommunicator,
)
from asgi_server.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPRequestEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Scope,
)

# Applications


async def hello(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] != "http":
        return
    assert_type(scope["path"], str)
    assert_type(scope["headers"], Iterable[tuple[bytes, bytes]])

    request = await receive()
    if request["type"] == "http.request":
        assert_type(request.get("body", b""), bytes)

    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-y", b"z")]})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})

    await send({"type": "http.response.start"})  # type: ignore[misc, arg-type]  # pyright: ignore[reportArgumentType]


application: ASGI3Application = hello

# Events: keys that the specification makes optional may be left out.

minimal_request: HTTPRequestEvent = {"type": "http.request"}
full_request: HTTPRequestEvent = {"type": "http.request", "body": b"x", "more_body": True}
minimal_start: HTTPResponseStartEvent = {"type": "http.response.start", "status": 200}
minimal_body: HTTPResponseBodyEvent = {"type": "http.response.body"}
received: ASGIReceiveEvent = {"type": "http.disconnect"}

no_status: HTTPResponseStartEvent = {"type": "http.response.start"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
text_body: HTTPRequestEvent = {"type": "http.request", "body": "x"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

# Servers


class Server(StatelessServer):
    async def handle(self) -> None:
        queue = self.get_or_create_application_instance("one", {"type": "test"})
        await queue.put({"type": "say"})

    async def application_send(self, scope: Any, message: Any) -> None:
        assert_type(self.max_applications, int)

    async def application_ended(
        self, application_details: ApplicationDetails, end: ApplicationEnd
    ) -> None:
        assert_type(end.cause, EndCause)
        assert_type(end.exception, BaseException | None)
        assert_type(application_details["input_queue"], InputQueue)

    def application_dropped(self, message: Any, input_queue: InputQueue) -> None:
        assert_type(input_queue.dropped, int)


def run_server() -> None:
    server = Server(hello, max_applications=10)
    assert_type(server.run(), None)
    server.stop(at_once=True)
    assert_type(server.counters(), ServerCounters)
    Server(hello, queue_limit=10, queue_policy="drop_oldest", grace_period=0.5, lifespan="auto")
    Server(hello, queue_policy="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Server(hello, max_applications="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Helpers


async def through_the_communicator() -> None:
    communicator = ApplicationCommunicator(hello, {"type": "http"})
    await communicator.send_input({"type": "http.request"})
    assert_type(await communicator.receive_nothing(timeout=0.1), bool)
    await communicator.wait(timeout=1)
    async with ApplicationCommunicator(hello, {"type": "http"}, validate=True) as within:
        assert_type(within, ApplicationCommunicator)


async def through_the_client_of_a_request() -> None:
    http = HTTPCommunicator(hello, "POST", "/", headers={"x-y": "z"}, body=[b"a", b"b"])
    assert_type(http.scope["path"], str)
    async with http as within:
        assert_type(within, HTTPCommunicator)
        start = await http.receive_start()
        assert_type(start["status"], int)
        assert_type(start["headers"], list[tuple[bytes, bytes]])
        assert_type(await http.receive_chunk(), bytes)
        assert_type([chunk async for chunk in http], list[bytes])
        assert_type(await http.receive_trailers(), list[tuple[bytes, bytes]])
        assert_type(await http.receive_early_hint(), list[bytes])
        await http.send_body("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HTTPCommunicator(hello, body="text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HTTPCommunicator(hello, headers=[("x-y", 1)])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def through_the_client_of_a_websocket() -> None:
    async with WebSocketCommunicator(hello, "/", subprotocols=["v1"]) as websocket:
        accepted = await websocket.connect()
        assert_type(accepted["subprotocol"], str | None)
        assert_type(accepted["headers"], list[tuple[bytes, bytes]])
        assert_type(await websocket.receive(), str | bytes)
        assert_type(await websocket.receive_text(), str)
        assert_type(await websocket.receive_json(mode="bytes"), Any)
        assert_type(await websocket.receive_close(), WebSocketClosedError)
        await websocket.send_json({}, mode="binary")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def around_a_test() -> None:
    async with Lifespan(hello, required=False) as lifespan:
        assert_type(lifespan.state, dict[str, Any])
        HTTPCommunicator(hello, state=lifespan.state)


def of_either_kind() -> None:
    assert_type(is_double_callable(hello), bool)
    guarantee_single_callable(hello)
