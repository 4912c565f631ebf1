"""Where things are, and that what is written about it is so."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

TOP_LEVEL = {
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "hatch.toml",
    "packages",
    "tests",
}


@pytest.fixture
def scripts(root) -> set[str]:
    """What `hatch run` knows without an environment's name."""
    environments = tomllib.loads((root / "hatch.toml").read_text())["envs"]
    return set(environments["default"]["scripts"])


def test_the_top_level_holds_what_a_newcomer_looks_for_and_dot_folders(root):
    tracked = subprocess.run(
        ["git", "-C", root, "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = {path.partition("/")[0] for path in tracked}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


@pytest.mark.parametrize("text", ["CONTRIBUTING.md", "ARCHITECTURE.md", "README.md"])
def test_every_command_in_a_text_exists(root, scripts, text):
    named = set(re.findall(r"hatch run ([\w-]+)(?![\w:-])", (root / text).read_text()))
    assert named <= scripts | {"python"}


@pytest.mark.parametrize("name", ["tests", "nightly", "publish"])
def test_a_workflow_calls_commands_that_exist(root, scripts, name):
    workflow = (root / ".github" / "workflows" / f"{name}.yml").read_text()
    commands = re.findall(r"^ +- run: (.*)$", workflow, re.MULTILINE)
    called = [command for command in commands if not command.startswith("pipx install")]
    assert called
    for command in called:
        match = re.fullmatch(r"hatch (?:run (?P<script>[\w-]+)\b.*|test --python .*)", command)
        assert match, command
        assert match["script"] is None or match["script"] in scripts


def test_every_workflow_is_linted(root):
    environments = tomllib.loads((root / "hatch.toml").read_text())["envs"]
    schema_check, _ = environments["default"]["scripts"]["workflows"]
    for workflow in (root / ".github" / "workflows").iterdir():
        assert f".github/workflows/{workflow.name}" in schema_check.split()


@pytest.mark.parametrize("text", ["CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_every_path_in_a_text_exists(root, text):
    code = re.findall(r"`([\w./<>*-]+/[\w./<>*-]*)`", (root / text).read_text())
    paths = [path for path in code if "<" not in path]
    assert paths
    places = ("", "packages/*/")
    assert not [
        path
        for path in paths
        if not any(list(root.glob(place + path.rstrip("/"))) for place in places)
    ]


@pytest.mark.parametrize(
    "path",
    [
        ".config/importlinter.ini",
        ".config/mypy.ini",
        ".config/ruff.toml",
        "hatch.toml",
        "tests/packaging/test_imports.py",
    ],
)
def test_what_a_new_package_is_to_be_named_in_names_every_package(root, package, path):
    assert f"`{path}`" in (root / "CONTRIBUTING.md").read_text()
    assert re.search(rf"\b{package.distribution.replace('-', '[-_]')}\b", (root / path).read_text())
