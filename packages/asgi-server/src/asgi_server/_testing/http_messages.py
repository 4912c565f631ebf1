"""The messages of an HTTP response as the client sees them. Pure, but for the files they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["as_client_sees"]


def as_client_sees(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with all keys that it may have, which stays as it is.

    Headers become lists, and a file becomes its contents: the application may change and close
    them once `send` has returned.

    Raises:
        TypeError: What is to be sent is of no use to a client.
    """
    kind: str = message["type"]
    complete = _COMPLETE.get(kind)
    return {"type": kind, **(dict(message) if complete is None else complete(message))}


def _start(message: Mapping[str, Any]) -> dict[str, Any]:
    status = message.get("status")
    if not isinstance(status, int):
        raise TypeError(f"the status of http.response.start is an int, not {status!r}")
    trailers = bool(message.get("trailers", False))
    return {"status": status, "headers": _headers(message), "trailers": trailers}


def _body(message: Mapping[str, Any]) -> dict[str, Any]:
    return _content(message.get("body", b""), message.get("more_body", False))


def _trailers(message: Mapping[str, Any]) -> dict[str, Any]:
    more_trailers = bool(message.get("more_trailers", False))
    return {"headers": _headers(message), "more_trailers": more_trailers}


def _push(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": message["path"], "headers": _headers(message)}


def _early_hint(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"links": list(message.get("links", ()))}


def _path_send(message: Mapping[str, Any]) -> dict[str, Any]:
    body = Path(message["path"]).read_bytes()
    return {"type": "http.response.body", **_content(body, more_body=False)}


def _zero_copy_send(message: Mapping[str, Any]) -> dict[str, Any]:
    file, count = message["file"], message.get("count")
    if message.get("offset") is not None:
        file.seek(message["offset"])
    body = file.read(-1 if count is None else count)
    return {"type": "http.response.body", **_content(body, message.get("more_body", False))}


def _content(body: object, more_body: object) -> dict[str, Any]:
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"the body of http.response.body is bytes, not {body!r}")
    return {"body": bytes(body), "more_body": bool(more_body)}


def _headers(message: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    pairs: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
    return [(name, value) for name, value in pairs]


_COMPLETE = {
    "http.response.start": _start,
    "http.response.body": _body,
    "http.response.trailers": _trailers,
    "http.response.push": _push,
    "http.response.early_hint": _early_hint,
    "http.response.pathsend": _path_send,
    "http.response.zerocopysend": _zero_copy_send,
}
