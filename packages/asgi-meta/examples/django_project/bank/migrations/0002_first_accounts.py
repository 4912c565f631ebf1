"""Accounts to begin with."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations

FIRST = {"ann": 1_000_00, "bob": 1_000_00}


def open_accounts(apps: Any, schema_editor: Any) -> None:
    """Put the first accounts into a database that has none."""
    accounts = apps.get_model("bank", "Account").objects
    for owner, balance in FIRST.items():
        accounts.create(owner=owner, balance=balance)


class Migration(migrations.Migration):
    """The first accounts."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("bank", "0001_initial")]
    operations: ClassVar[list[Any]] = [
        migrations.RunPython(open_accounts, migrations.RunPython.noop)
    ]
