"""What type checkers know of `Local`: it holds anything under any name, or what its schema says."""

from contextlib import AbstractContextManager
from typing import Any, assert_type

from asgi_local import Local, Schema

local = Local()
assert_type(local, Local)
assert_type(Local(thread_critical=True), Local)

local.user = "x"
del local.user
assert_type(local.user, Any)
assert_type(getattr(local, "user", None), Any | None)
assert_type(local.override(user="x", id=7), AbstractContextManager[None])
assert_type(list(local), list[tuple[str, Any]])

Local(thread_critical="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Local(critical=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
local.override("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Request(Schema):
    id: int
    user: str | None


request = Local[Request]()
assert_type(request, Request)
assert_type(Local[Request](thread_critical=True), Request)

assert_type(request.id, int)
request.id = 7
request.user = "x"
del request.user
assert_type(request.override(id=8), AbstractContextManager[None])
assert_type(list(request), list[tuple[str, Any]])

request.id = "7"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
request.usr = "x"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
request.usr  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
Local[Request](critical=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Any class will do as a schema; then that is all that is known.


class Settings:
    debug: bool


settings = Local[Settings]()
assert_type(settings.debug, bool)
settings.override  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def names(anything: Schema) -> list[str]:
    return [name for name, _ in anything]


assert_type(names(request) + names(local), list[str])
