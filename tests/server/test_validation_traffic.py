"""`asgi_server.validation` finds nothing wrong with real frameworks on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import websockets.sync.client
from helpers import asgi_messages as asgi
from helpers.asgi_messages import play, scope
from helpers.asgi_servers import BARE_SERVER_KINDS, ServerKind
from helpers.frameworks import PARTS, sites
from helpers.server_threads import PATIENCE
from helpers.validated_sites import ValidatedSites
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from asgi_server.validation import ProtocolViolationError, validator

FRAMEWORKS = ["starlette", "fastapi", "quart", "flask", "django"]
WITH_WEBSOCKETS = ["starlette", "fastapi", "quart"]

# What frameworks are known to do against the specification.
KNOWN_DEVIATIONS = {
    # Django 5.2 to 6.1: names of headers go out as the views wrote them.
    "django": {"http.response.start/headers/lowercase"},
}


# First, while no server collects what is found


@pytest.mark.parametrize(("framework", "rules"), KNOWN_DEVIATIONS.items())
def test_known_deviation_is_still_there(framework: str, rules: set[str]) -> None:
    request = scope("http", path=f"/{framework}/plain", scheme="http")
    requests = iter([asgi.REQUEST])

    async def receive() -> Any:
        return next(requests, None) or await asyncio.Event().wait()

    site = dict(sites())[framework]
    messages = play(request, [], site, receive=receive, ignore=rules)
    for rule in rules:
        with pytest.raises(ProtocolViolationError) as raised:
            play(request, messages, ignore=rules - {rule})
        assert raised.value.rule == rule


# What clients that call an application without a server are known to do.
CLIENT_DEVIATIONS = {
    # httpx 0.28: no port where the URL has none, which is new in a version that it does not give.
    "httpx": {"http.scope/server/version"},
    # Starlette 1.10: no versions.
    "starlette": {f"{kind}.scope/asgi/missing" for kind in ("http", "websocket", "lifespan")},
}


def test_transport_of_httpx_has_one_known_deviation() -> None:
    async def get(site: Any) -> httpx.Response:
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return await client.get("/fastapi/plain")

    site = dict(sites())["fastapi"]
    with pytest.raises(ProtocolViolationError) as raised:
        asyncio.run(get(validator(site)))
    assert {raised.value.rule} == CLIENT_DEVIATIONS["httpx"]
    answer = asyncio.run(get(validator(site, ignore=CLIENT_DEVIATIONS["httpx"])))
    assert answer.text == "hello"


# Starlette would have another client than httpx.
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_test_client_of_starlette_has_one_known_deviation() -> None:
    from starlette.testclient import TestClient

    site = dict(sites())["starlette"]
    with pytest.raises(ProtocolViolationError) as raised, TestClient(validator(site)):
        pass
    assert raised.value.rule == "lifespan.scope/asgi/missing"
    with TestClient(validator(site, ignore=CLIENT_DEVIATIONS["starlette"])) as client:
        assert client.get("/starlette/plain").text == "hello"
        with client.websocket_connect("/starlette/ws") as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "hello"


@dataclass
class Served:
    kind: ServerKind
    sites: ValidatedSites
    connect: Callable[[], httpx.Client]
    client: httpx.Client

    def open(self, path: str, **options: object) -> ClientConnection:
        url = str(self.client.base_url.join(path)).replace("http", "ws", 1)
        return websockets.sync.client.connect(url, open_timeout=PATIENCE, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=BARE_SERVER_KINDS, ids=str)
def running(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The server, which all tests share; its lifespan has to be in order as well."""
    kind: ServerKind = request.param
    validated = ValidatedSites(dict(sites()), KNOWN_DEVIATIONS)
    with validated.reporting():
        with kind.start(validated, "") as connect, connect() as client:
            yield Served(kind, validated, connect, client)
        assert validated.violations == []


@pytest.fixture
def served(running: Served) -> Iterator[Served]:
    running.sites.messages.clear()
    yield running
    running.sites.wait_until_idle()
    found, running.sites.violations = running.sites.violations, []
    assert found == []


@pytest.fixture(params=FRAMEWORKS)
def site(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WITH_WEBSOCKETS)
def websocket_site(request: pytest.FixtureRequest, served: Served) -> str:
    if served.kind.is_http2:
        pytest.skip("the client has no WebSockets over HTTP/2")
    return str(request.param)


def test_request_and_response(served: Served, site: str) -> None:
    answer = served.client.get(f"/{site}/plain?x=1&x=2", headers={"Cookie": "a=b; c=d"})
    assert (answer.status_code, answer.text) == (200, "hello")
    assert {"http.response.start", "http.response.body"} <= served.sites.messages


def test_head(served: Served, site: str) -> None:
    assert served.client.head(f"/{site}/plain").content == b""


def test_upload_with_a_length(served: Served, site: str) -> None:
    body = bytes(range(250)) * 1000
    assert served.client.post(f"/{site}/echo", content=body).content == body
    assert "http.request" in served.sites.messages


def test_upload_in_chunks(served: Served, site: str) -> None:
    chunks = [bytes([number]) * 1000 for number in range(100)]
    answer = served.client.post(f"/{site}/echo", content=iter(chunks))
    assert answer.content == b"".join(chunks)


def test_streaming(served: Served, site: str) -> None:
    assert served.client.get(f"/{site}/stream").content == b"".join(PARTS)


def test_path_that_is_not_there(served: Served, site: str) -> None:
    assert served.client.get(f"/{site}/caf%C3%A9/%2F").status_code == 404


def test_method_that_is_not_allowed(served: Served, site: str) -> None:
    assert served.client.delete(f"/{site}/plain").status_code in (200, 405)


def test_view_that_raises(served: Served, site: str) -> None:
    # The server may close the connection: the framework raises the error once more.
    with served.connect() as client:
        assert client.get(f"/{site}/broken").status_code == 500


def test_client_that_leaves(served: Served, site: str) -> None:
    with served.connect() as client, client.stream("GET", f"/{site}/forever") as answer:
        assert next(answer.iter_raw())


def test_websocket_echo_and_close_of_the_client(served: Served, websocket_site: str) -> None:
    with served.open(f"/{websocket_site}/ws", subprotocols=["chat"]) as websocket:
        assert websocket.subprotocol == "chat"
        websocket.send("hello")
        assert websocket.recv(PATIENCE) == "hello"
        websocket.close(code=4321, reason="bye")
    served.sites.wait_until_idle()
    assert served.sites.messages >= {
        "websocket.connect",
        "websocket.accept",
        "websocket.receive",
        "websocket.send",
        "websocket.disconnect",
    }


def test_websocket_of_a_client_that_is_gone(served: Served, websocket_site: str) -> None:
    with served.open(f"/{websocket_site}/ws") as websocket:
        websocket.send("hello")
        assert websocket.recv(PATIENCE) == "hello"
        websocket.socket.close()


def test_websocket_closed_by_the_application(served: Served, websocket_site: str) -> None:
    with served.open(f"/{websocket_site}/ws-close") as websocket:
        assert websocket.recv(PATIENCE) == b"bye"
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "that is all")


@pytest.mark.parametrize("path", ["ws-refuse", "not-there"])
def test_websocket_refused(served: Served, websocket_site: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        served.open(f"/{websocket_site}/{path}")
    assert refused.value.response.status_code in (403, 404)
