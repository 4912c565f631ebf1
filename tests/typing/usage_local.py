"""What type checkers know of `Local`: it holds anything under any name."""

from typing import Any, assert_type

from asgi_local import Local

local = Local()
assert_type(local, Local)
assert_type(Local(thread_critical=True), Local)

local.user = "x"
del local.user
assert_type(local.user, Any)
assert_type(getattr(local, "user", None), Any | None)

Local(thread_critical="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Local(critical=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
