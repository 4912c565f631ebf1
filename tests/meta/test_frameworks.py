"""The program that runs frameworks' tests on both libraries: it says what differs, and proves it.

The frameworks' own tests are not run here, for they are fetched: `hatch run frameworks:test`.
"""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks import running
from tests.frameworks.__main__ import main
from tests.frameworks.comparing import Compared, compare
from tests.frameworks.running import ASGIREF, COMMANDS, INSIDE, OURS, folders_of, run_on_both
from tests.frameworks.sources import CannotFetchError, fetch
from tests.frameworks.suites import SUITES, Suite

# Far more than a child takes, and less than the limit of a test.
LIMIT = 40

CASES = """
import unittest
from asgiref.sync import sync_to_async
IS_OURS = sync_to_async.__module__.startswith("asgi_sync")
class Cases(unittest.TestCase):
    def test_everywhere(self):
        pass
    def test_on_asgiref(self):
        self.assertFalse(IS_OURS)
    def test_on_ours(self):
        self.assertTrue(IS_OURS)
    def test_in_parts(self):
        for part in range(2):
            with self.subTest(part=part):
                self.assertFalse(IS_OURS and part == 0)
    @unittest.skipIf(IS_OURS, "as ours lacks something")
    def test_skipped_on_ours(self):
        pass
    @unittest.skip("everywhere")
    def test_skipped(self):
        pass
    def test_nowhere(self):
        self.fail()
"""
GOOD_CASES = CASES[: CASES.index("    def test_on_asgiref")]
SCRIPT = "import unittest; unittest.main(module='test_cases', exit=True)"
WORSE = {"test_on_asgiref": "failed", "test_in_parts": "failed", "test_skipped_on_ours": "skipped"}


def make_tree(folder: Path, cases: str = CASES) -> Path:
    """A framework's source distribution, unpacked."""
    tree = folder / "invented-1.5"
    (tree / "invented").mkdir(parents=True)
    (tree / "invented" / "__init__.py").write_text("from asgiref.sync import sync_to_async\n")
    (tree / "tests").mkdir()
    (tree / "tests" / "test_cases.py").write_text(cases)
    (tree / "tests" / "run.py").write_text(SCRIPT)
    return tree


SUITE = Suite(
    name="invented",
    requirement="invented>=1",
    package="invented",
    program="tests/run.py",
    arguments=(),
    quick=(),
    tests="tests/run.py",
    witnesses=("invented:sync_to_async",),
)
WITH_PYTEST = dataclasses.replace(SUITE, program="pytest", arguments=("tests",), quick=("tests",))


def ran(tree: Path, suite: Suite = SUITE, limit: float = LIMIT) -> Compared:
    return compare(tree.name, run_on_both(suite, tree, limit, quick=False))


def last_parts(outcomes: dict[str, str]) -> dict[str, str]:
    """The outcomes by the bare names of the tests."""
    return {test.replace("::", ".").rpartition(".")[2]: how for test, how in outcomes.items()}


@pytest.mark.parametrize("suite", [SUITE, WITH_PYTEST], ids=["script", "pytest"])
def test_each_test_that_passes_on_asgiref_only_is_found(tmp_path: Path, suite: Suite) -> None:
    compared = ran(make_tree(tmp_path), suite)
    assert compared.troubles == {}
    assert last_parts(dict(compared.worse)) == WORSE
    assert last_parts(dict(compared.better)) == {"test_on_ours": "failed"}
    assert not compared.is_good


def test_both_libraries_were_really_used(tmp_path: Path) -> None:
    compared = ran(make_tree(tmp_path))
    for library in (ASGIREF, OURS):
        bridge = Path(compared.ran[library].bridge)
        assert any(bridge.is_relative_to(folder) for folder in folders_of(library))


def test_what_passes_on_both_is_good(tmp_path: Path) -> None:
    compared = ran(make_tree(tmp_path, GOOD_CASES))
    assert compared.is_good
    assert [compared.ran[library].count("passed") for library in (ASGIREF, OURS)] == [1, 1]


def test_a_run_on_asgiref_that_should_be_one_on_ours_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "COMMANDS", {**COMMANDS, OURS: (INSIDE,)})
    compared = ran(make_tree(tmp_path))
    assert "asgiref.sync:sync_to_async comes from" in compared.troubles[OURS]
    assert not compared.is_good


def test_a_framework_with_a_bridge_of_its_own_is_not_taken_for_a_user_of_ours(
    tmp_path: Path,
) -> None:
    tree = make_tree(tmp_path)
    (tree / "invented" / "__init__.py").write_text("def sync_to_async(f): pass\n")
    assert "invented:sync_to_async comes from" in ran(tree).troubles[OURS]


def test_an_installed_framework_is_not_taken_for_the_one_that_was_fetched(tmp_path: Path) -> None:
    suite = dataclasses.replace(SUITE, package="flask", witnesses=())
    assert "flask comes from" in ran(make_tree(tmp_path), suite).troubles[OURS]


def test_a_run_that_breaks_off_is_not_good(tmp_path: Path) -> None:
    breaking_off = CASES.replace("self.fail()", "import os; print('here', flush=True); os._exit(0)")
    compared = ran(make_tree(tmp_path, breaking_off))
    assert "ended without a report" in compared.troubles[OURS]
    assert "here" in compared.troubles[OURS]
    assert not compared.is_good


def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    hanging = CASES.replace("self.fail()", "import threading; threading.Event().wait()")
    assert "did not end within" in ran(make_tree(tmp_path, hanging), limit=1).troubles[OURS]


def test_a_run_that_hangs_after_its_tests_is_ended_and_not_good(tmp_path: Path) -> None:
    hang = "import atexit, threading; atexit.register(threading.Event().wait)\n"
    compared = ran(make_tree(tmp_path, hang + GOOD_CASES), limit=3)
    assert "did not end within" in compared.troubles[OURS]
    assert not compared.is_good


def test_a_suite_of_which_nothing_passes_on_asgiref_says_nothing(tmp_path: Path) -> None:
    cases = CASES.replace("def test_", "def not_").replace("def not_nowhere", "def test_nowhere")
    compared = ran(make_tree(tmp_path, cases))
    assert compared.troubles[ASGIREF].startswith("no test passes")
    assert not compared.is_good


# The command


def test_the_exit_code_is_1_if_a_test_passes_on_asgiref_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tree(tmp_path)
    assert main(["--quick", "--cache", str(tmp_path)], [SUITE]) == 1
    printed = capsys.readouterr().out
    for test, outcome in WORSE.items():
        assert f"passes on asgiref, {outcome} on ours: test_cases.Cases.{test}" in printed


def test_the_exit_code_is_0_if_nothing_is_worse(tmp_path: Path) -> None:
    make_tree(tmp_path, GOOD_CASES)
    assert main(["--quick", "--cache", str(tmp_path)], [SUITE]) == 0


UNSTEADY = """
    def test_unsteady(self):
        from pathlib import Path
        before = Path(__file__).with_name("has_run")
        if IS_OURS and not before.exists():
            before.touch()
            self.fail()
"""


def test_a_test_that_passes_when_it_is_repeated_is_told_and_not_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tree(tmp_path, GOOD_CASES + UNSTEADY)
    assert main(["--quick", "--cache", str(tmp_path)], [SUITE]) == 0
    printed = capsys.readouterr().out
    assert "passes on ours in one of two runs: test_cases.Cases.test_unsteady" in printed


def test_the_labels_that_were_promised_are_run() -> None:
    promised = "async asgi handlers signals cache middleware test_client requests_tests auth_tests"
    for suite in SUITES[:2]:
        assert {*promised.split(), "servers"} <= set(suite.arguments_for(quick=False))


# The source distributions


def test_the_newest_one_that_was_fetched_before_and_will_do_is_reused(tmp_path: Path) -> None:
    for version in ("1.9", "1.10", "2.0"):
        (tmp_path / f"invented-{version}").mkdir()
    assert fetch("invented>=1,<2", tmp_path, reuse=True).name == "invented-1.10"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts an invented source distribution where pip looks, and pip looks nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    # Builds with a backend of its own, as pip has none to fetch here.
    backend = """
        import os
        def prepare_metadata_for_build_wheel(folder, settings=None):
            os.mkdir(os.path.join(folder, "invented.dist-info"))
            with open(os.path.join(folder, "invented.dist-info", "METADATA"), "w") as file:
                file.write("Metadata-Version: 2.1\\nName: invented\\nVersion: {version}\\n")
            return "invented.dist-info"
    """
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'

    def add(version: str) -> None:
        with tarfile.open(folder / f"invented-{version}.tar.gz", "w:gz") as archive:
            files = {
                "pyproject.toml": project,
                "backend.py": "if True:" + backend.format(version=version),
                "PKG-INFO": f"Metadata-Version: 2.1\nName: invented\nVersion: {version}\n",
            }
            for name, text in files.items():
                entry = tarfile.TarInfo(f"invented-{version}/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))

    return add


# Takes over a second: pip does.
def test_a_source_distribution_is_fetched_and_unpacked(
    tmp_path: Path, index: Callable[[str], None]
) -> None:
    index("1.2")
    tree = fetch("invented>=1", tmp_path / "cache", reuse=True)
    assert tree == tmp_path / "cache" / "invented-1.2"
    assert (tree / "backend.py").is_file()
    assert [path.name for path in tree.parent.iterdir()] == ["invented-1.2"]


@pytest.mark.usefixtures("index")
def test_what_cannot_be_fetched_is_an_error_that_says_what(tmp_path: Path) -> None:
    with pytest.raises(CannotFetchError, match="pip did not get invented>=3"):
        fetch("invented>=3", tmp_path / "cache", reuse=False)
