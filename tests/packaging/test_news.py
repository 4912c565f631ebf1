"""News fragments, and the changelogs that they become."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from releasing.fragments import read
from releasing.workspace import Workspace


@pytest.fixture
def config(root) -> Path:
    return root / ".config" / "towncrier.toml"


def fragments(package) -> list[Path]:
    return [p for p in sorted((package.folder / "changelog.d").iterdir()) if p.name != ".gitkeep"]


def draft(config: Path, folder: Path) -> str:
    return build(config, folder, "1.2.0", "--draft")


def build(config: Path, folder: Path, version: str, how: str) -> str:
    arguments = ["build", how, "--config", config, "--dir", folder, "--version", version]
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_fragment_has_an_issue_a_known_type_and_a_text(package, root):
    assert len(read(Workspace(root).package(package.distribution))) == len(fragments(package))


def test_the_folder_for_fragments_stays_when_a_release_empties_it(package):
    assert (package.folder / "changelog.d" / ".gitkeep").is_file()


def test_the_changelog_has_the_line_below_which_a_release_is_inserted(package, config):
    start = tomllib.loads(config.read_text())["tool"]["towncrier"]["start_string"]
    assert (package.folder / "CHANGELOG.md").read_text().count(start) == 1


def test_the_changelog_of_the_next_release_can_be_built(package, config):
    text = draft(config, package.folder)
    assert text.startswith("## 1.2.0 (")
    for fragment in fragments(package):
        first_word = fragment.read_text().split()[0]
        assert first_word in text, f"{fragment} is not in the changelog"


@pytest.fixture
def empty_package(tmp_path, config) -> Path:
    """A folder where the configuration finds its template."""
    shutil.copytree(config.parent, tmp_path / config.parent.name)
    folder = tmp_path / "packages" / "asgi-none"
    (folder / "changelog.d").mkdir(parents=True)
    return folder


def test_a_release_lists_removals_first_under_readable_headings(empty_package, config):
    folder = empty_package / "changelog.d"
    (folder / "12.bugfix.md").write_text("A repair.\n")
    (folder / "D4.removal.md").write_text("A farewell.\n")
    (folder / "+.performance.md").write_text("A speed-up.\n")
    assert draft(config, empty_package).partition("\n")[2] == TEXT


TEXT = """\

### Removed

- A farewell. (D4)

### Faster

- A speed-up.

### Fixed

- A repair. (#12)


"""


def test_issues_stand_on_a_line_of_their_own_after_a_list(empty_package, config):
    fragment = empty_package / "changelog.d" / "12.feature.md"
    fragment.write_text("Two things:\n\n- one;\n- two.\n")
    assert "- Two things:\n\n  - one;\n  - two.\n\n  (#12)\n" in draft(config, empty_package)


def test_an_empty_line_parts_a_release_from_the_one_before(empty_package, config):
    changelog = empty_package / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n<!-- towncrier release notes start -->\n")
    for version in ("1.2.0", "1.2.1"):
        (empty_package / "changelog.d" / "12.bugfix.md").write_text("A repair.\n")
        build(config, empty_package, version, "--yes")
    text = changelog.read_text()
    assert text.count("- A repair. (#12)\n") == 2
    assert "- A repair. (#12)\n\n## 1.2.0 (" in text
    assert text.endswith("- A repair. (#12)\n")
