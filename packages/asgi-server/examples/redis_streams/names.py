"""What is where in Redis, and which partition a scope belongs to."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

__all__ = ["GROUP", "Names"]

# The one consumer group of each stream of messages.
GROUP = "workers"


@dataclass(frozen=True)
class Names:
    """The keys of one deployment; its clients and workers must have the same.

    Args:
        prefix: What all its keys begin with. Redis Cluster wants it in braces, as `{accounts}`:
            a script's keys must be on one node.
        partitions: How many streams the messages are spread over, and so how many workers can
            share the load. To change it, stop the clients, and the workers once they are idle.
    """

    prefix: str = "accounts"
    partitions: int = 8

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError(f"partitions must be at least 1, not {self.partitions}")

    def partition_of(self, scope_id: str) -> int:
        """Return the partition of a scope: always the same one, in every process."""
        return zlib.crc32(scope_id.encode("utf-8", "surrogateescape")) % self.partitions

    def messages(self, partition: int) -> str:
        """Return the stream of the messages of a partition: `scope`, `text`."""
        return f"{self.prefix}:messages:{partition}"

    @property
    def replies(self) -> str:
        """The stream of replies: `scope`, `to` (the id of the message, if any), `text`."""
        return f"{self.prefix}:replies"

    @property
    def dead(self) -> str:
        """The stream of messages that were given up: `id`, `deliveries`, `error` and their own."""
        return f"{self.prefix}:dead"

    @property
    def settings(self) -> str:
        """A hash of what must be the same everywhere: `partitions`."""
        return f"{self.prefix}:settings"

    @property
    def members(self) -> str:
        """The set of the workers that share the partitions."""
        return f"{self.prefix}:members"

    @property
    def leases(self) -> str:
        """A sorted set: until when each worker is taken to be alive."""
        return f"{self.prefix}:leases"

    @property
    def owners(self) -> str:
        """A hash: the token of the owner of each partition that has one."""
        return f"{self.prefix}:owners"

    @property
    def epoch(self) -> str:
        """A counter: how many times a partition was taken."""
        return f"{self.prefix}:epoch"

    @property
    def changes(self) -> str:
        """A stream that wakes the workers when partitions have become free."""
        return f"{self.prefix}:changes"
