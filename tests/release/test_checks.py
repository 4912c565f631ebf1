"""What an sdist and a wheel must hold, and what not."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from releasing.building import Built
from releasing.checks import check_contents
from releasing.errors import RefusalError
from releasing.workspace import Package

WHEEL = ["asgi_one/__init__.py", "asgi_one/py.typed", "asgi_one-1.0.0.dist-info/METADATA"]
TEXTS = ["LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", "pytest.ini"]
TESTS = ["tests/conftest.py", "tests/helpers/children.py", "tests/one/test_it.py"]
SDIST = ["src/asgi_one/__init__.py", "src/asgi_one/py.typed", *TEXTS, *TESTS]


@pytest.fixture
def package(tmp_path) -> Package:
    """One of two."""
    for name in ("asgi-one", "asgi-two"):
        (tmp_path / "packages" / name).mkdir(parents=True)
    return Package(tmp_path / "packages" / "asgi-one")


def archives(folder: Path, wheel: list[str], sdist: list[str]) -> Built:
    built = Built(folder / "asgi_one-1.0.0.tar.gz", folder / "asgi_one-1.0.0-py3-none-any.whl")
    with zipfile.ZipFile(built.wheel, "w") as zipped:
        for name in wheel:
            zipped.writestr(name, "")
    with tarfile.open(built.sdist, "w:gz") as tarred:
        for name in sdist:
            tarred.addfile(tarfile.TarInfo(f"asgi_one-1.0.0/{name}"), io.BytesIO())
    return built


def test_what_belongs_to_a_package_passes(package, tmp_path):
    check_contents(package, archives(tmp_path, WHEEL, SDIST))


@pytest.mark.parametrize(
    "name",
    ["asgi_two/__init__.py", "asgi_one2/__init__.py", "tests/conftest.py", "README.md"],
)
def test_another_file_in_the_wheel_is_refused(package, tmp_path, name):
    with pytest.raises(RefusalError, match=f"whl has files of others: {name}"):
        check_contents(package, archives(tmp_path, [*WHEEL, name], SDIST))


@pytest.mark.parametrize(
    "name", ["src/asgi_two/__init__.py", "tests/two/test_it.py", "notes.txt", "src/x.py"]
)
def test_another_file_in_the_sdist_is_refused(package, tmp_path, name):
    with pytest.raises(RefusalError, match=f"tar.gz has files of others: {name}"):
        check_contents(package, archives(tmp_path, WHEEL, [*SDIST, name]))


def test_a_wheel_that_is_not_marked_as_typed_is_refused(package, tmp_path):
    without = [name for name in WHEEL if name != "asgi_one/py.typed"]
    with pytest.raises(RefusalError, match=r"whl lacks asgi_one/py\.typed"):
        check_contents(package, archives(tmp_path, without, SDIST))


@pytest.mark.parametrize("name", ["src/asgi_one/py.typed", "CHANGELOG.md", "LICENSE", "pytest.ini"])
def test_an_sdist_that_lacks_a_file_is_refused(package, tmp_path, name):
    without = [other for other in SDIST if other != name]
    with pytest.raises(RefusalError, match=f"tar.gz lacks {name}"):
        check_contents(package, archives(tmp_path, WHEEL, without))


def test_an_sdist_without_its_tests_is_refused(package, tmp_path):
    without = [name for name in SDIST if not name.startswith("tests/one/")]
    with pytest.raises(RefusalError, match=r"tar\.gz lacks tests/one/"):
        check_contents(package, archives(tmp_path, WHEEL, without))
