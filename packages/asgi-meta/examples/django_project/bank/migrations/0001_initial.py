"""The tables, as `manage.py makemigrations` wrote them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models
from django.db.models.deletion import CASCADE

KEY: Any = {
    "auto_created": True,
    "primary_key": True,
    "serialize": False,
    "verbose_name": "ID",
}


class Migration(migrations.Migration):
    """Accounts and transfers."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(**KEY)),
                ("owner", models.CharField(max_length=50, unique=True)),
                ("balance", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Transfer",
            fields=[
                ("id", models.BigAutoField(**KEY)),
                ("amount", models.PositiveBigIntegerField()),
                (
                    "source",
                    models.ForeignKey("bank.account", CASCADE, related_name="outgoing"),
                ),
                (
                    "target",
                    models.ForeignKey("bank.account", CASCADE, related_name="incoming"),
                ),
            ],
        ),
    ]
