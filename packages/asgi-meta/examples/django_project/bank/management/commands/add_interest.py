"""`manage.py add_interest PERCENT`."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import F

from bank.models import Account


class Command(BaseCommand):
    """Sync, as commands are, around code that is async."""

    help = "Add interest to all accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("percent", type=int)

    def handle(self, *args: Any, percent: int, **options: Any) -> None:
        accounts = async_to_sync(_add_interest)(percent)
        self.stdout.write(f"{percent} % added to {accounts} accounts")


async def _add_interest(percent: int) -> int:
    accounts = 0
    async for account in Account.objects.all():
        # By the database: a transfer may have changed the balance since it was read here.
        one = Account.objects.filter(pk=account.pk)
        accounts += await one.aupdate(balance=F("balance") * (100 + percent) / 100)
    return accounts
