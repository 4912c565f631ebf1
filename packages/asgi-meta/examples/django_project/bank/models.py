"""What the database holds."""

from __future__ import annotations

from django.db import models


class Account(models.Model):
    """Somebody's money, in cents."""

    owner = models.CharField(max_length=50, unique=True)
    balance = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.owner}: {self.balance}"


class Transfer(models.Model):
    """Money that has gone from one account to another."""

    source = models.ForeignKey(Account, models.CASCADE, related_name="outgoing")
    target = models.ForeignKey(Account, models.CASCADE, related_name="incoming")
    amount = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"{self.source.owner} -> {self.target.owner}: {self.amount}"
