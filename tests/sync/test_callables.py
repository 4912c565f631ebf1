from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from asgi_sync import iscoroutinefunction, markcoroutinefunction


async def an_async_function() -> None: ...


def a_function() -> None: ...


class Class:
    async def method(self) -> None: ...

    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (an_async_function, True),
        (functools.partial(functools.partial(an_async_function)), True),
        (Class().method, True),
        (functools.partial(Class.method), True),
        (a_function, False),
        (Class(), False),
        (Class, False),
        (None, False),
    ],
)
def test_what_counts_as_a_coroutine_function(candidate: Any, expected: bool) -> None:
    assert iscoroutinefunction(candidate) is expected


def test_marking_makes_it_one_and_returns_it() -> None:
    def returns_an_awaitable() -> Any:
        return an_async_function()

    assert markcoroutinefunction(returns_an_awaitable) is returns_an_awaitable
    assert iscoroutinefunction(returns_an_awaitable)
    assert iscoroutinefunction(functools.partial(returns_an_awaitable))


def test_an_instance_can_be_marked() -> None:
    instance = Class()
    markcoroutinefunction(instance)
    assert iscoroutinefunction(instance)
    assert not iscoroutinefunction(Class())


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="new in Python 3.12")
def test_the_standard_librarys_mark_is_known_and_ours_is_known_to_it() -> None:
    ours, theirs = Class(), Class()
    markcoroutinefunction(ours)
    inspect.markcoroutinefunction(theirs)
    assert inspect.iscoroutinefunction(ours)
    assert iscoroutinefunction(theirs)


def test_what_takes_no_attributes_cannot_be_marked() -> None:
    with pytest.raises(AttributeError):
        markcoroutinefunction(len)
