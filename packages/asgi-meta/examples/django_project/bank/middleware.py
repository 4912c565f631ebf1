"""Middleware of each kind: for both, for sync and for async code.

Django crosses between them where the next one is of another kind.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

GetResponse = Callable[[HttpRequest], HttpResponse]
AsyncGetResponse = Callable[[HttpRequest], Awaitable[HttpResponse]]

# Of the request that is being served, for the logs of whatever code serves it.
request_number: ContextVar[int] = ContextVar("request_number")


@sync_and_async_middleware
def timed(get_response: Any) -> Any:
    """Say in a header how long the request took: whatever the next one is, as it is."""

    def say(response: HttpResponse, start: float) -> HttpResponse:
        response["Server-Timing"] = f"total;dur={(perf_counter() - start) * 1e3:.1f}"
        return response

    if iscoroutinefunction(get_response):

        async def middleware_async(request: HttpRequest) -> HttpResponse:
            start = perf_counter()
            return say(await get_response(request), start)

        return middleware_async

    def middleware(request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        return say(get_response(request), start)

    return middleware


class NumberedMiddleware:
    """Number the requests, in a context variable that all code below sees. Sync."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._numbers = itertools.count(1)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        number = next(self._numbers)
        token = request_number.set(number)
        try:
            response = self._get_response(request)
        finally:
            request_number.reset(token)
        response["X-Request-Number"] = str(number)
        return response


@async_only_middleware
def counted(get_response: AsyncGetResponse) -> AsyncGetResponse:
    """Say in a header how many requests are being served, and how many tasks there are. Async."""
    in_flight = 0

    async def middleware(request: HttpRequest) -> HttpResponse:
        nonlocal in_flight
        in_flight += 1
        try:
            response = await get_response(request)
        finally:
            in_flight -= 1
        response["X-In-Flight"] = str(in_flight)
        response["X-Tasks"] = str(len(asyncio.all_tasks()))
        return response

    return middleware
