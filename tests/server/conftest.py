"""What the tests of this folder share."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def quiet_asyncio() -> Iterator[None]:
    """Event loops have nothing to complain about: tasks destroyed while they are pending,
    failures that nobody has asked for. They complain to this logger, when a task is collected.
    """
    complaints: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(self.format(record))

    # Not warnings: in the debug mode it warns of what is slow.
    handler = Handler(logging.ERROR)
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        yield
        gc.collect()
    finally:
        logger.removeHandler(handler)
    assert complaints == []
