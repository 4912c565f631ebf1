"""Moving money: all of it or nothing."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from bank.models import Account, Transfer


class RefusedError(Exception):
    """A transfer cannot be made; says why."""


def transfer(source: str, target: str, amount: int) -> Transfer:
    """Move money from one owner's account to another's, in one transaction.

    Sync, because Django's transactions are; async code calls it by `sync_to_async`.

    Raises:
        RefusedError: There is no such account, or too little in it. Nothing has moved.
    """
    with transaction.atomic():
        made = Transfer(source=_account(source), target=_account(target), amount=amount)
        Account.objects.filter(pk=made.target.pk).update(balance=F("balance") + amount)
        # Last, so that there is something to undo.
        enough = Account.objects.filter(pk=made.source.pk, balance__gte=amount)
        if not enough.update(balance=F("balance") - amount):
            raise RefusedError(f"{source} has less than {amount}")
        made.save()
    return made


def _account(owner: str) -> Account:
    account: Account | None = Account.objects.filter(owner=owner).first()
    if account is None:
        raise RefusedError(f"{owner!r} has no account")
    return account
