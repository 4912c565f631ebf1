"""Which changes of public names and signatures are seen, and which are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from releasing.api import changes
from releasing.versions import Level

INIT = """\
from package._home import Greeter, greet

__version__ = "1.0.0"
__all__ = ["Greeter", "__version__", "greet"]
"""
HOME = """\
class Greeter:
    def greet(self, name, *, loud=False):
        return name

    def _prepare(self):
        pass


def greet(name, loud=False):
    return name
"""


def write(folder: Path, **modules: str) -> Path:
    package = folder / "package"
    package.mkdir(parents=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    return folder


def found(folder: Path, init: str, **modules: str) -> list[tuple[str, Level]]:
    before = write(folder / "before", __init__=INIT, _home=HOME)
    after = write(folder / "after", __init__=init, **modules)
    return [(change.text, change.demand) for change in changes("package", [before], [after])]


def test_no_change_is_none(tmp_path):
    assert found(tmp_path, INIT, _home=HOME) == []


def test_a_new_version_is_none(tmp_path):
    assert found(tmp_path, INIT.replace("1.0.0", "1.0.1"), _home=HOME) == []


def test_a_private_module_may_move(tmp_path):
    assert found(tmp_path, INIT.replace("_home", "_house"), _house=HOME) == []


def test_private_members_may_go(tmp_path):
    assert found(tmp_path, INIT, _home=HOME.replace("_prepare", "_ready")) == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("def greet(name", "def greet(whom", "greet(name): Parameter was removed"),
        ("name, loud=False", "name, loud", "greet(loud): Parameter is now required"),
        ("name, *, loud", "name, *, clear", "Greeter.greet(loud): Parameter was removed"),
        ("def greet(self", "def hail(self", "package.Greeter.greet: no longer public"),
    ],
)
def test_what_breaks_programs_demands_a_major_version(tmp_path, old, new, text):
    assert old in HOME
    seen = found(tmp_path, INIT, _home=HOME.replace(old, new))
    assert any(text in change for change, demand in seen if demand is Level.MAJOR)


def test_a_name_that_is_no_longer_listed_demands_a_major_version(tmp_path):
    assert found(tmp_path, INIT.replace(', "greet"', ""), _home=HOME) == [
        ("package.greet: no longer public", Level.MAJOR)
    ]


def test_a_new_method_demands_a_minor_version(tmp_path):
    more = HOME.replace("    def _prepare", "    def part(self):\n        pass\n\n    def _prepare")
    assert found(tmp_path, INIT, _home=more) == [("package.Greeter.part: new", Level.MINOR)]


def test_a_new_public_module_demands_a_minor_version(tmp_path):
    module = '__all__ = ["hail"]\n\n\ndef hail():\n    pass\n'
    assert found(tmp_path, INIT, _home=HOME, more=module) == [
        ("package.more.hail: new", Level.MINOR)
    ]
