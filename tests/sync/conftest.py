"""Runs tests that are marked `each_loop_kind` once over every kind of event loop.

An async test runs on such a loop, made by a factory. In a sync test a policy that makes such
loops is in force, as in a program that has set one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from helpers.loop_kinds import LOOP_KINDS, MakeLoop, policy_in_force


def _loop_kinds(test: pytest.Item) -> list[str] | None:
    marker = test.get_closest_marker("each_loop_kind")
    if marker is None:
        return None
    left_out = marker.kwargs.get("but", ())
    return [kind for kind in LOOP_KINDS if kind not in left_out]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, MakeLoop]:
    return {kind: LOOP_KINDS[kind] for kind in _loop_kinds(item) or ["default"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = _loop_kinds(metafunc.definition)
    if kinds is not None and metafunc.definition.get_closest_marker("asyncio") is None:
        metafunc.parametrize("loop_kind", kinds, indirect=True)


@pytest.fixture(autouse=True)
def loop_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of loop that the policy in force makes; the default unless marked."""
    kind: str = getattr(request, "param", "default")
    with policy_in_force(kind):
        yield kind
