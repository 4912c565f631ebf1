from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any
from unittest import mock

import pytest

from asgi_server._application import required_single_callable
from asgi_server.compatibility import (
    double_to_single_callable,
    guarantee_single_callable,
    is_double_callable,
    iscoroutinefunction,
)

# Double-callables


class DoubleClass:
    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await send((self.scope, await receive()))


def double_function(scope: Any) -> Any:
    return DoubleClass(scope)


def double_closure(scope: Any) -> Any:
    async def inner(receive: Any, send: Any) -> None:
        await send((scope, await receive()))

    return inner


class DoubleInstance:
    def __call__(self, scope: Any) -> Any:
        return DoubleClass(scope)

    def method(self, scope: Any) -> Any:
        return DoubleClass(scope)


def anything(*args: Any) -> Any:
    return DoubleClass(*args)


@functools.wraps(lambda scope, receive, send: None)
def double_that_wraps_a_single(scope: Any) -> Any:
    return DoubleClass(scope)


DOUBLE = [
    DoubleClass,
    double_function,
    double_closure,
    DoubleInstance(),
    DoubleInstance().method,
    functools.partial(double_function),
    lambda scope: DoubleClass(scope),
    anything,
    double_that_wraps_a_single,
]

# Single-callables


async def single_function(scope: Any, receive: Any, send: Any) -> None:
    await send((scope, await receive()))


class SingleInstance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send((scope, await receive()))

    async def method(self, scope: Any, receive: Any, send: Any) -> None:
        await send((scope, await receive()))

    @classmethod
    async def class_method(cls, scope: Any, receive: Any, send: Any) -> None:
        await send((scope, await receive()))


class SyncSingleInstance:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return single_function(scope, receive, send)


class AwaitableClass:
    """Called as a single-callable, it makes what is awaited: Starlette has such endpoints."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.call = single_function(scope, receive, send)

    def __await__(self) -> Any:
        return self.call.__await__()


def sync_function_that_returns_a_coroutine(scope: Any, receive: Any, send: Any) -> Any:
    return single_function(scope, receive, send)


SINGLE = [
    single_function,
    SingleInstance(),
    SingleInstance().method,
    SingleInstance.class_method,
    functools.partial(single_function),
    functools.partial(functools.partial(SingleInstance())),
    SyncSingleInstance(),
    AwaitableClass,
    sync_function_that_returns_a_coroutine,
]

# Neither


class SingleClassNotInstantiated:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


NEITHER = [
    None,
    1,
    "myproject.asgi:application",
    object(),
    lambda: None,
    SingleClassNotInstantiated,
]


@pytest.mark.parametrize("application", DOUBLE)
def test_double_callables_are_double(application: Any) -> None:
    assert is_double_callable(application)


@pytest.mark.parametrize("application", [*SINGLE, *NEITHER])
def test_everything_else_is_not_double(application: Any) -> None:
    assert not is_double_callable(application)


@pytest.mark.parametrize("application", [*DOUBLE, *SINGLE])
@pytest.mark.asyncio
async def test_applications_of_both_kinds_are_served_alike(application: Any) -> None:
    receive = mock.AsyncMock(return_value="message")
    send = mock.AsyncMock()

    await guarantee_single_callable(application)({"type": "test"}, receive, send)

    send.assert_awaited_once_with(({"type": "test"}, "message"))


@pytest.mark.parametrize("application", SINGLE)
def test_single_callable_is_returned_itself(application: Any) -> None:
    assert guarantee_single_callable(application) is application


@pytest.mark.parametrize("application", DOUBLE)
def test_double_callable_becomes_a_coroutine_function_of_three_arguments(application: Any) -> None:
    result = double_to_single_callable(application)

    assert iscoroutinefunction(result)
    assert list(inspect.signature(result).parameters) == ["scope", "receive", "send"]


@pytest.mark.parametrize("application", NEITHER)
def test_what_is_no_application_is_named_in_the_error(application: Any) -> None:
    with pytest.raises(TypeError) as caught:
        required_single_callable(application)
    assert str(caught.value).startswith(f"{application!r} is not an ASGI application: ")


def test_what_cannot_be_called_is_returned_as_it_is() -> None:
    assert guarantee_single_callable("project.asgi") == "project.asgi"  # type: ignore[arg-type]


def test_class_that_was_to_be_instantiated_is_told_so() -> None:
    with pytest.raises(TypeError, match="pass an instance of the class"):
        guarantee_single_callable(SingleClassNotInstantiated)


def test_function_of_other_arguments_is_told_which() -> None:
    with pytest.raises(TypeError, match=r"must take \(scope, receive, send\)"):
        guarantee_single_callable(lambda environ, start_response: [])


@pytest.mark.parametrize("application", [*SINGLE, *NEITHER])
def test_only_double_callables_can_be_made_single(application: Any) -> None:
    with pytest.raises(TypeError, match="is not a double-callable"):
        double_to_single_callable(application)


@pytest.mark.asyncio
async def test_result_of_the_application_is_returned() -> None:
    async def answer(receive: Any, send: Any) -> int:
        return 42

    assert await double_to_single_callable(lambda scope: answer)({}, None, None) == 42


@pytest.mark.asyncio
async def test_error_of_the_first_call_is_raised_by_the_second_kind_too() -> None:
    def application(scope: Any) -> Any:
        raise LookupError(scope)

    with pytest.raises(LookupError, match="nowhere"):
        await guarantee_single_callable(application)("nowhere", None, None)


@pytest.mark.asyncio
async def test_what_returns_no_callable_is_named_in_the_error() -> None:
    def application(scope: Any) -> Any:
        return None

    with pytest.raises(TypeError, match=r"application at .* returned None when called with a scop"):
        await guarantee_single_callable(application)({}, None, None)


@pytest.mark.asyncio
async def test_what_returns_a_callable_that_is_not_async_is_told_so() -> None:
    def application(scope: Any) -> Any:
        return lambda receive, send: "done"

    message = (
        r"lambda.* returned 'done' when called: .* an async callable that takes \(receive, send"
    )
    with pytest.raises(TypeError, match=message):
        await guarantee_single_callable(application)({}, None, None)


def test_marked_callable_is_async() -> None:
    class Marked:
        def __call__(self, *args: Any) -> Any: ...

    marked = Marked()
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(marked)
    else:
        marked._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    assert iscoroutinefunction(marked)
    assert not is_double_callable(marked)


def test_callable_without_a_signature_is_taken_for_double() -> None:
    class Opaque:
        __signature__ = "none"

        def __call__(self, *args: Any) -> Any: ...

    assert is_double_callable(Opaque())
