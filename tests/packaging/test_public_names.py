"""Public is what `__all__` lists; everything else is behind an underscore."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from types import ModuleType

import pytest

UPDATE = "hatch run python tests/packaging/public_names.py > tests/packaging/public_names.json"


@pytest.fixture
def modules(package) -> list[ModuleType]:
    return [importlib.import_module(name) for name in package.public_modules]


def unlisted(module: ModuleType) -> list[str]:
    """Public-looking classes and functions of the module that it does not list.

    A package's `__init__` is there to re-export what the package defines; any other module
    may import what it needs, and answers for what it defines.
    """

    def belongs(value: object) -> bool:
        home = getattr(value, "__module__", None) or ""
        if hasattr(module, "__path__"):
            return home.startswith(f"{module.__name__}.")
        return home == module.__name__

    public = {name for name, value in vars(module).items() if name[0] != "_" and belongs(value)}
    return sorted(public - set(module.__all__))


def test_every_public_module_lists_its_names(modules):
    for module in modules:
        assert isinstance(getattr(module, "__all__", None), list | tuple), module.__name__


def test_the_list_is_complete(modules):
    for module in modules:
        assert not unlisted(module), module.__name__


def test_no_name_is_listed_twice(modules):
    for module in modules:
        assert len(module.__all__) == len(set(module.__all__)), module.__name__


def test_every_listed_name_exists(modules):
    missing = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in module.__all__
        if not hasattr(module, name)
    ]
    assert not missing


def test_every_listed_class_and_function_has_a_docstring(modules):
    bare = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in module.__all__
        if inspect.isclass(value := getattr(module, name)) or inspect.isroutine(value)
        if not value.__doc__
    ]
    assert not bare


def test_every_public_module_has_a_docstring(modules):
    assert not [module.__name__ for module in modules if not module.__doc__]


def test_the_package_gives_its_version(package):
    about = importlib.import_module(f"{package.import_name}.__about__")
    assert importlib.import_module(package.import_name).__version__ == about.__version__


def test_the_package_is_marked_as_typed(package):
    assert (package.source / "py.typed").is_file()


def test_public_names_are_those_recorded(root):
    """A change of public names shows in review, as a change of public_names.json."""
    folder = root / "tests" / "packaging"
    now = subprocess.run(
        [sys.executable, folder / "public_names.py"], capture_output=True, text=True
    )
    assert now.returncode == 0, now.stderr
    recorded = json.loads((folder / "public_names.json").read_text())
    message = f"if the change of public names is meant, record it with: {UPDATE}"
    assert json.loads(now.stdout) == recorded, message
