"""Fixtures of the tests of asgi-meta."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stand_in import add_to_path, copy_each_alone


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each of our packages, with nothing beside it."""
    return copy_each_alone(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def only_ours(sources: dict[str, Path]) -> str:
    """What a script starts with that is run with `-S` and finds our packages, but no asgiref."""
    return add_to_path(sources.values())
