"""`python -m asgi_meta doctor`: what there is, and what does not fit together."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.children import LIMIT_SECONDS, Ended
from helpers.stand_in import add_to_path, python

from asgi_meta import _asgiref, _doctor
from asgi_meta._report import as_text

ASK = "import sys; from asgi_meta._doctor import main; sys.exit(main(['--json']))"
PACKAGES = ["asgi-sync", "asgi-local", "asgi-server", "asgi-wsgi", "asgi-meta"]


def report_of(ended: Ended) -> Any:
    assert ended.err == ""
    report = json.loads(ended.out)
    assert report["ok"] is (ended.status == 0) is (not report["problems"])
    return report


def distribution(folder: Path, name: str, version: str, *requires: str, **headers: str) -> None:
    """Put the metadata of a distribution into a folder."""
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    lines += [f"{header.replace('_', '-')}: {value}" for header, value in headers.items()]
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines]))


@pytest.fixture(scope="module")
def report() -> Any:
    """What it says of the environment of these tests."""
    return report_of(python("-m", "asgi_meta", "doctor", "--json"))


def test_where_nothing_is_wrong_all_versions_are_told_and_fit(report: Any) -> None:
    assert report["ok"], report["problems"]
    assert report["schema"] == 1
    assert list(report["packages"]) == PACKAGES
    for package in report["packages"].values():
        assert package["version"] == package["imported_version"] is not None
        assert all(needed["fits"] for needed in package["requires"])
    needed = {needed["requirement"][:8] for needed in report["packages"]["asgi-meta"]["requires"]}
    assert needed == {"asgi-loc", "asgi-ser", "asgi-syn", "asgi-wsg"}


def test_the_python_and_the_loop_are_told(report: Any) -> None:
    assert report["python"]["version"] == platform.python_version()
    assert report["python"]["gil_enabled"] is getattr(sys, "_is_gil_enabled", lambda: True)()
    assert report["event_loop"]["loop"].startswith("asyncio.")
    assert report["greenlets"]["patched_by"] is None


def test_it_says_whose_asgiref_is_imported_here(report: Any) -> None:
    asgiref = pytest.importorskip("asgiref")
    alone = report["asgiref"]
    assert (alone["installed"], alone["wins"]) == (asgiref.__version__, "asgiref")
    assert alone["imported_from"] == asgiref.__file__
    run = ("-m", "asgi_meta", "run", "-m", "asgi_meta", "doctor", "--json")
    in_its_place = report_of(python(*run))["asgiref"]
    assert (in_its_place["installed"], in_its_place["wins"]) == (asgiref.__version__, "asgi-meta")


def test_it_says_that_there_is_no_asgiref(only_ours: str) -> None:
    report = report_of(python("-S", "-c", only_ours + ASK))
    assert (report["asgiref"]["installed"], report["asgiref"]["wins"]) == (None, None)


def test_an_asgiref_that_is_found_before_ours_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "asgiref.py").touch()
    path = os.pathsep.join([str(tmp_path), _asgiref.STAND_IN])
    report = report_of(python("-m", "asgi_meta", "doctor", "--json", PYTHONPATH=path))
    (problem,) = report["problems"]
    assert str(tmp_path / "asgiref.py") in problem
    assert "earlier on sys.path" in problem


def test_an_asgiref_that_only_children_find_before_ours_is_wrong(tmp_path: Path) -> None:
    """A program meets ours, which `run` has imported before; what it starts, that beside it."""
    (tmp_path / "asgiref.py").touch()
    ask = ("-m", "asgi_meta", "run", "-m", "asgi_meta", "doctor", "--json")
    report = report_of(python(*ask, cwd=tmp_path))
    assert report["asgiref"]["wins"] == "asgi-meta"
    (problem,) = report["problems"]
    assert str(tmp_path / "asgiref.py") in problem
    assert "that this one starts" in problem


def test_packages_that_are_missing_are_wrong(sources: dict[str, Path]) -> None:
    report = report_of(python("-S", "-c", add_to_path([sources["asgi_meta"]]) + ASK))
    text = "\n".join(report["problems"])
    assert "asgi-sync cannot be imported: ModuleNotFoundError: No module named 'asgi_sync'" in text
    assert "asgi-wsgi is not installed: pip install asgi-meta" in text


def test_versions_that_do_not_fit_are_wrong(tmp_path: Path) -> None:
    distribution(tmp_path, "asgi-sync", "0.0.7", Requires_Python=">=3.999")
    distribution(tmp_path, "asgi-local", "0.1.0", "asgi-sync<1,>=0.1", "asgi-none>1")
    report = report_of(python("-m", "asgi_meta", "doctor", "--json", PYTHONPATH=str(tmp_path)))
    text = "\n".join(report["problems"])
    assert "asgi-local 0.1.0 needs asgi-sync<1,>=0.1, and 0.0.7 is installed" in text
    assert "asgi-local 0.1.0 needs asgi-none>1, and no such package is installed" in text
    assert f"asgi-sync 0.0.7 is for Python >=3.999, and this is {platform.python_version()}" in text
    assert "asgi-sync 0.0.7 is installed, but what is imported from" in text


def test_a_range_that_is_not_understood_is_unknown_and_not_wrong(tmp_path: Path) -> None:
    distribution(tmp_path, "asgi-local", "0.1.0", "asgi-sync~=0.1")
    report = report_of(python("-m", "asgi_meta", "doctor", "--json", PYTHONPATH=str(tmp_path)))
    assert report["packages"]["asgi-local"]["requires"][0]["fits"] is None
    assert report["ok"]
    assert "needs asgi-sync~=0.1 unknown whether it fits" in " ".join(as_text(report).split())


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """What an installation that was broken off may leave; newer Pythons warn, or raise."""
    (tmp_path / "asgi_wsgi-0.1.0.dist-info").mkdir()
    (tmp_path / "uvloop-0.1.0.dist-info").mkdir()
    return tmp_path


def test_a_package_whose_metadata_is_damaged_is_wrong(damaged: Path, only_ours: str) -> None:
    report = report_of(python("-S", "-c", only_ours + ASK, PYTHONPATH=str(damaged)))
    assert "asgi-wsgi is not installed: pip install asgi-meta" in report["problems"]
    assert report["event_loop"]["uvloop"] is None


def test_damaged_metadata_hides_another_installation_where_python_looks_no_further(
    damaged: Path,
) -> None:
    report = report_of(python("-m", "asgi_meta", "doctor", "--json", PYTHONPATH=str(damaged)))
    is_hidden = sys.version_info < (3, 15)
    problem = "asgi-wsgi is not installed: pip install asgi-meta"
    assert (problem in report["problems"]) is is_hidden
    assert not is_hidden or report["event_loop"]["uvloop"] is None


def test_a_package_that_cannot_be_imported_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "asgi_wsgi.py").write_text("raise OSError('no such disk')")
    report = report_of(python("-m", "asgi_meta", "doctor", "--json", PYTHONPATH=str(tmp_path)))
    assert "asgi-wsgi cannot be imported: OSError: no such disk" in report["problems"]


def test_greenlets_in_the_place_of_threads_are_told() -> None:
    pytest.importorskip("gevent")
    code = f"from gevent import monkey; monkey.patch_all(); {ASK}"
    report = report_of(python("-W", "ignore", "-c", code))
    assert report["greenlets"]["patched_by"] == "gevent"
    assert report["greenlets"]["gevent"] is not None
    assert any("greenlets" in note for note in report["notes"])


def test_the_loop_of_the_policy_in_force_is_told() -> None:
    pytest.importorskip("uvloop")
    code = f"import uvloop; uvloop.install(); {ASK}"
    report = report_of(python("-W", "ignore", "-c", code))
    assert report["event_loop"]["loop"] == "uvloop.Loop"
    assert report["event_loop"]["uvloop"] is not None


def test_people_read_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert _doctor.main([]) in (0, 1)
    text = capsys.readouterr().out
    for name in (*PACKAGES, "asgiref", "Python", "event loop", "GIL"):
        assert f"\n{name} " in f"\n{text}"


def test_people_read_the_problems_last() -> None:
    report = _doctor.examine() | {"ok": False, "problems": ["this"], "notes": ["that"]}
    assert as_text(report).endswith("\nnote: that\nwrong: this")


def test_arguments_that_it_does_not_know_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _doctor.main(["--yaml"]) == 2
    assert "cannot use --yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status"), [((), 0), (("--json",), 0), (("--json",), 1), (("--help",), 0)]
)
def test_where_nobody_reads_the_exit_status_tells_what_was_found(
    tmp_path: Path, options: tuple[str, ...], status: int
) -> None:
    if status:
        (tmp_path / "asgi_wsgi.py").write_text("raise OSError")
    nobody_reads, write_end = os.pipe()
    os.close(nobody_reads)
    ended = subprocess.run(
        [sys.executable, "-m", "asgi_meta", "doctor", *options],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=write_end,
        stderr=subprocess.PIPE,
        timeout=LIMIT_SECONDS,
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (status, b"")


def test_an_output_that_is_full_is_an_error() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "asgi_meta", "doctor"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT_SECONDS,
            text=True,
        )
    assert "No space left on device" in ended.stderr


def test_people_read_paths_that_their_terminal_cannot_show(tmp_path: Path) -> None:
    (tmp_path / "höme").mkdir()
    (tmp_path / "höme" / "asgi_wsgi.py").touch()
    ended = python(
        "-m", "asgi_meta", "doctor", PYTHONPATH=str(tmp_path / "höme"), PYTHONIOENCODING="ascii"
    )
    assert "h\\xf6me" in ended.out, ended
    assert ended.err == ""
