"""Which version may follow which."""

from __future__ import annotations

import pytest
from packaging.version import Version

from releasing.errors import RefusalError
from releasing.versions import NOTHING_RELEASED, Level, bumped, requested, smallest


@pytest.mark.parametrize(
    ("request_", "version"),
    [("patch", "1.4.3"), ("minor", "1.5.0"), ("major", "2.0.0"), ("1.4.10", "1.4.10")],
)
def test_a_request_stands_for_a_version(request_, version):
    assert requested(request_, Version("1.4.2")) == Version(version)


@pytest.mark.parametrize("request_", ["1.4.2", "1.4.1", "0.9.9", "1.3.9"])
def test_a_version_that_is_not_greater_is_refused(request_):
    with pytest.raises(RefusalError, match=r"not greater than 1\.4\.2"):
        requested(request_, Version("1.4.2"))


@pytest.mark.parametrize(
    "request_", ["", "2", "2.0", "2.0.0rc1", "v2.0.0", "2.0.00", "majo", "2.0.0 "]
)
def test_what_is_no_version_is_refused(request_):
    with pytest.raises(RefusalError, match="is no version: give patch, minor, major"):
        requested(request_, Version("1.4.2"))


def test_the_first_minor_release_is_0_1_0():
    assert requested("minor", NOTHING_RELEASED) == Version("0.1.0")


@pytest.mark.parametrize(
    ("demanded", "version"),
    [(Level.PATCH, "1.4.3"), (Level.MINOR, "1.5.0"), (Level.MAJOR, "2.0.0")],
)
def test_each_level_demands_its_own_bump(demanded, version):
    assert smallest(Version("1.4.2"), demanded) == Version(version)


def test_before_1_0_what_takes_away_demands_a_minor_release():
    assert smallest(Version("0.4.2"), Level.MAJOR) == Version("0.5.0")


def test_before_1_0_a_major_release_is_1_0():
    assert bumped(Version("0.4.2"), Level.MAJOR) == Version("1.0.0")
