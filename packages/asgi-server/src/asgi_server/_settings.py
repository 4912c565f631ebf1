"""What a server may be told beside its application and `max_applications`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

__all__ = ["GRACE_PERIOD", "STOP_TIMEOUT", "LifespanMode", "QueuePolicy", "Settings"]

QueuePolicy: TypeAlias = Literal["wait", "drop_oldest", "close"]
LifespanMode: TypeAlias = Literal["off", "auto", "on"]

# A server that is stopped takes at most these two for its applications and again for their
# lifespan: together less than the ten seconds after which `docker stop` kills.
STOP_TIMEOUT = 3.0
GRACE_PERIOD = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server, checked. `StatelessServer` documents them."""

    queue_limit: int | None = None
    queue_policy: QueuePolicy = "wait"
    grace_period: float = GRACE_PERIOD
    stop_timeout: float = STOP_TIMEOUT
    lifespan: LifespanMode = "off"

    def __post_init__(self) -> None:
        limit = self.queue_limit
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(f"queue_limit must be an int, or None for no limit, not {limit!r}")
            if limit < 1:
                raise ValueError(f"queue_limit must be at least 1, or None, not {limit!r}")
        _check_choice("queue_policy", self.queue_policy, get_args(QueuePolicy))
        _check_choice("lifespan", self.lifespan, get_args(LifespanMode))
        _check_seconds("grace_period", self.grace_period)
        _check_seconds("stop_timeout", self.stop_timeout)
        if not self.grace_period:
            # Not even what cleans up without waiting would end in time.
            raise ValueError("grace_period must be more than 0 seconds")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    # An endless wait would break the promise that a stop takes a bounded time.
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of seconds, 0 or more, not {value!r}")
