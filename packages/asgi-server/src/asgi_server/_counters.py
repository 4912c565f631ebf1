"""What a server counts, and what an operator sees of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerCounters", "Tally"]


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """The counters of a server at one moment.

    The first six are of the moment (gauges), the others only grow, from when the server was made.
    It always holds that

    - `created` = `held` + `ending` + `ended`, and
    - `messages_in` = what applications have received + `queue_depth` + `messages_dropped`.

    Attributes:
        held: Application instances that take messages, one for each scope id.
        idle: Those of them that wait for a message.
        ending: Instances that take no more messages and have not ended yet.
        overdue: Those of them whose grace period is over.
        queue_depth: Messages in all queues together.
        putters: Calls of `put()` that wait for room in a queue, together.
        created: Instances started.
        ended: Instances that have ended, whichever way.
        failed: Those of them that raised.
        evicted: Instances that had to make room for another.
        messages_in: Messages put.
        messages_out: Messages that applications have sent: `application_send()` returned.
        messages_dropped: Messages put that no application has received nor will.
    """

    held: int
    idle: int
    ending: int
    overdue: int
    queue_depth: int
    putters: int
    created: int
    ended: int
    failed: int
    evicted: int
    messages_in: int
    messages_out: int
    messages_dropped: int


@dataclass(slots=True)
class Tally:
    """What is counted where it happens; the other counters are sizes of what is held anyway.

    `InputQueue` changes the first four, `Send` the fifth, `ApplicationInstances` the others, all
    of them on the event loop.
    """

    queue_depth: int = 0
    putters: int = 0
    messages_in: int = 0
    messages_dropped: int = 0
    messages_out: int = 0
    created: int = 0
    ended: int = 0
    failed: int = 0
    evicted: int = 0
    overdue: int = 0
