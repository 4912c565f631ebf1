"""Views, sync and async ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import django
from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from bank.middleware import request_number
from bank.models import Account, Transfer
from bank.transfers import RefusedError, transfer


def hello(request: HttpRequest) -> HttpResponse:
    """Greet. Sync."""
    return HttpResponse("Hello")


async def hello_async(request: HttpRequest) -> HttpResponse:
    """Greet. Async."""
    return HttpResponse("Hello")


async def about(request: HttpRequest) -> JsonResponse:
    """Say what serves the request. Async."""
    return JsonResponse(
        {
            "django": django.get_version(),
            "sync_to_async": sync_to_async.__module__,
            "request": request_number.get(),
            "loop's thread": threading.current_thread().name,
            "sync thread": (await sync_to_async(threading.current_thread)()).name,
        }
    )


def accounts(request: HttpRequest) -> JsonResponse:
    """List the accounts. Sync, with the ORM."""
    return JsonResponse({account.owner: account.balance for account in Account.objects.all()})


async def total(request: HttpRequest) -> JsonResponse:
    """Add up the accounts. Async, with a loop over the ORM."""
    cents = 0
    async for account in Account.objects.all():
        cents += account.balance
    return JsonResponse({"accounts": await Account.objects.acount(), "cents": cents})


async def statement(request: HttpRequest, owner: str) -> StreamingHttpResponse:
    """List the transfers from an account, as they are read. Async, streaming."""
    account = await Account.objects.aget(owner=owner)

    async def lines() -> AsyncIterator[str]:
        yield f"# {owner}\n"
        made = Transfer.objects.filter(source=account).select_related("target").order_by("pk")
        async for one in made.aiterator(chunk_size=20):
            yield f"{one.target.owner} {one.amount}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


@require_POST
def transfer_money(request: HttpRequest) -> JsonResponse:
    """Make a transfer, in a transaction. Sync."""
    try:
        made = transfer(request.POST["from"], request.POST["to"], int(request.POST["amount"]))
    except RefusedError as error:
        return JsonResponse({"error": str(error)}, status=409)
    return JsonResponse({"id": made.pk})


@require_POST
async def transfer_twice(request: HttpRequest) -> JsonResponse:
    """Make a transfer and undo it, in two transactions. Async, from which sync code runs.

    In one thread, as all sync code of a request: one of the two waits for the other.
    """
    source, target, amount = request.POST["from"], request.POST["to"], int(request.POST["amount"])
    outcomes: list[object] = await asyncio.gather(
        sync_to_async(transfer)(source, target, amount),
        sync_to_async(transfer)(target, source, amount),
        return_exceptions=True,
    )
    refused = [str(error) for error in outcomes if isinstance(error, RefusedError)]
    return JsonResponse({"refused": refused})


def quotes(request: HttpRequest) -> JsonResponse:
    """Ask two banks for their rates at once. Sync, from which async code runs."""
    return JsonResponse(async_to_sync(_ask_all)(["north", "south"]))


async def _ask_all(banks: list[str]) -> dict[str, float]:
    rates = await asyncio.gather(*map(_ask, banks))
    return dict(zip(banks, rates, strict=True))


async def _ask(bank: str) -> float:
    # Instead of a client for their service.
    await asyncio.sleep(0.001)
    accounts: int = await Account.objects.acount()
    return round(len(bank) * 0.4 + accounts * 0.1, 2)
