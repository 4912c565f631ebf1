"""News fragments, and the changelogs that they become."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# An issue, or `+` and a word where there is none; then the type, then a number where one
# issue has several fragments of a type.
FRAGMENT = re.compile(r"(?:\+[\w-]*|[A-Z]*\d+)\.(?P<type>[a-z]+)(?:\.\d+)?\.md")


@pytest.fixture
def config(root) -> Path:
    return root / ".config" / "towncrier.toml"


def fragments(package) -> list[Path]:
    return [p for p in sorted((package.folder / "changelog.d").iterdir()) if p.name != ".gitkeep"]


def draft(config: Path, folder: Path) -> str:
    arguments = ["build", "--draft", "--config", config, "--dir", folder, "--version", "1.2.0"]
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_fragment_has_an_issue_and_a_known_type(package, config):
    known = {t["directory"] for t in tomllib.loads(config.read_text())["tool"]["towncrier"]["type"]}
    for fragment in fragments(package):
        match = FRAGMENT.fullmatch(fragment.name)
        assert match, f"{fragment}: expected <issue>.<type>.md"
        assert match["type"] in known, f"{fragment}: expected one of {sorted(known)}"


def test_no_fragment_is_empty(package):
    for fragment in fragments(package):
        assert fragment.read_text().strip(), fragment


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


def test_a_release_lists_removals_first_under_readable_headings(tmp_path, config):
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (folder / "12.bugfix.md").write_text("A repair.\n")
    (folder / "D4.removal.md").write_text("A farewell.\n")
    (folder / "+.performance.md").write_text("A speed-up.\n")
    headings = [line for line in draft(config, tmp_path).splitlines() if line.startswith("### ")]
    assert headings == ["### Removed", "### Faster", "### Fixed"]
