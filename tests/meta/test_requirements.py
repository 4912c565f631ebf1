"""Whether a version is in a declared range: certain, or unknown."""

from __future__ import annotations

import pytest

from asgi_meta._requirements import project_of, satisfies


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("0.1.0", "asgi-sync>=0.1,<1"),
        ("0.1", "asgi-sync<1,>=0.1.0"),
        ("0.10.2", "asgi-sync >= 0.9 , < 1"),
        ("1.0.0", "asgi-sync==1"),
        ("1.2", "asgi-sync (>=1.0,!=1.1)"),
        ("1.2+local.4", "asgi-sync<=1.2"),
        ("3.0", "asgi_sync"),
        ("2", "asgi-sync>1.9,"),
    ],
)
def test_a_version_in_the_range_fits(version: str, requirement: str) -> None:
    assert satisfies(version, requirement) is True


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("0.0.9", "asgi-sync>=0.1,<1"),
        ("1.0.0", "asgi-sync>=0.1,<1"),
        ("1.1.0", "asgi-sync!=1.1"),
        ("2.0", "asgi-sync>2"),
        ("0.9", "asgi-sync>=0.10"),
        # What is not understood cannot make good what is certain.
        ("3.0", "asgi-sync<2,~=1.0"),
    ],
)
def test_a_version_out_of_the_range_does_not_fit(version: str, requirement: str) -> None:
    assert satisfies(version, requirement) is False


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("1.0", "asgi-sync~=1.0"),
        ("1.0", "asgi-sync===1.0"),
        ("1.0", "asgi-sync==1.*"),
        ("1.0rc1", "asgi-sync>=0.1,<1"),
        ("1.0.dev3", "asgi-sync>=0.1"),
        ("1!1.0", "asgi-sync>=0.1"),
        ("1.0", "asgi-sync>=0.1; python_version < '3.12'"),
        ("1.0", "asgi-sync[extra]>=0.1"),
        ("1.0", "asgi-sync @ file:///somewhere"),
        ("1.0", "asgi-sync>=0.1 or so"),
        ("1.0", ""),
        ("nonsense", "asgi-sync>=0.1"),
    ],
)
def test_what_is_not_understood_is_unknown(version: str, requirement: str) -> None:
    assert satisfies(version, requirement) is None


@pytest.mark.parametrize(
    ("requirement", "project"),
    [
        ("asgi-sync>=0.1", "asgi-sync"),
        ("Asgi_Sync (>=1)", "asgi-sync"),
        (" asgi.sync[x]; a == 'b'", "asgi-sync"),
        ("", ""),
    ],
)
def test_the_project_of_a_requirement_is_found(requirement: str, project: str) -> None:
    assert project_of(requirement) == project
