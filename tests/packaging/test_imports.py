"""Import rules that the contracts in .config/importlinter.ini cannot express."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SIBLINGS = {
    "asgi_local": {"asgi_sync"},
    "asgi_meta": {"asgi_local", "asgi_server", "asgi_sync", "asgi_wsgi"},
    "asgi_server": set(),
    "asgi_sync": set(),
    "asgi_wsgi": {"asgi_sync"},
}
# Known to every type checker, installed or not; so only under `if TYPE_CHECKING`.
TYPE_CHECKER_ONLY = {"_typeshed", "typing_extensions"}


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and imported name (None for `import module`) of each absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield node.lineno, node.module or "", alias.name


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def type_checking_lines(tree: ast.AST) -> set[int]:
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and is_type_checking(n.test)]
    return {
        n.lineno
        for block in blocks
        for body in block.body
        for n in ast.walk(body)
        if isinstance(n, ast.stmt)
    }


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def violations(import_name: str, code: str) -> list[str]:
    tree = ast.parse(code)
    for_type_checkers = type_checking_lines(tree)
    found = []
    for line, module, name in imports(tree):
        top = module.partition(".")[0]
        if top == import_name or top in sys.stdlib_module_names:
            continue
        if top in SIBLINGS:
            parts = [*module.split("."), name or ""]
            if top not in SIBLINGS[import_name]:
                found.append(f"{line}: {import_name} may not import {top}")
            elif any(is_private(part) for part in parts):
                found.append(f"{line}: {'.'.join(parts)} is private to {top}")
        elif not (top in TYPE_CHECKER_ONLY and line in for_type_checkers):
            found.append(f"{line}: {top} is neither in the standard library nor a sibling")
    return found


def test_a_package_imports_the_standard_library_and_public_names_of_allowed_siblings(package):
    found = [
        f"{path.relative_to(package.folder)}:{violation}"
        for path in sorted(package.source.rglob("*.py"))
        for violation in violations(package.import_name, path.read_text())
    ]
    assert not found, "\n".join(found)


def test_the_rules_name_every_package(packages):
    assert set(SIBLINGS) == {package.import_name for package in packages}


def test_the_rules_allow_what_the_package_depends_on(package):
    declared = {requirement.partition(">")[0] for requirement in package.project["dependencies"]}
    assert {name.replace("-", "_") for name in declared} == SIBLINGS[package.import_name]


@pytest.mark.parametrize(
    ("import_name", "code"),
    [
        ("asgi_sync", "import asgi_local"),
        ("asgi_server", "def f():\n    from asgi_sync import sync_to_async"),
        ("asgi_local", "import asgi_meta.local"),
        ("asgi_local", "from asgi_sync import _context"),
        ("asgi_local", "from asgi_sync._context import Rehomed"),
        ("asgi_wsgi", "import asgi_sync._workers as workers"),
        ("asgi_sync", "import uvloop"),
        ("asgi_wsgi", "from _typeshed.wsgi import StartResponse"),
        ("asgi_wsgi", "if not TYPE_CHECKING:\n    import typing_extensions"),
    ],
)
def test_a_forbidden_import_is_found(import_name, code):
    assert violations(import_name, code)


@pytest.mark.parametrize(
    ("import_name", "code"),
    [
        ("asgi_sync", "import asyncio.base_events, _thread\nfrom . import _workers"),
        ("asgi_sync", "from asgi_sync._workers import Worker"),
        ("asgi_local", "from asgi_sync import __version__, sync_to_async"),
        ("asgi_wsgi", "import asgi_sync.current_thread_executor"),
        ("asgi_wsgi", "if TYPE_CHECKING:\n    from _typeshed.wsgi import StartResponse"),
    ],
)
def test_an_allowed_import_is_not_found(import_name, code):
    assert not violations(import_name, code)


def test_no_package_reads_a_module_by_a_path_outside_itself(package):
    """A relative import that climbs out of the package would escape the rules above."""
    for path in package.source.rglob("*.py"):
        depth = len(Path(path.relative_to(package.source)).parts)
        levels = [
            n.level for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
        ]
        assert all(level <= depth for level in levels), path
