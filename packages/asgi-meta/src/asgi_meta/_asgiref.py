"""Stands in for asgiref, in this process and in those that it starts.

The folder `_stand_in` holds a package `asgiref` and the metadata of a distribution of that
name. Whoever has it on `sys.path`, before asgiref's own place, imports ours, and reads our
metadata. A path, and no finder in `sys.meta_path`, because a path is what children inherit:
multiprocessing hands `sys.path` to those it spawns, and PYTHONPATH reaches the others.

The submodules are not files there. A file whose code puts another module in its own place in
`sys.modules` is seen half-made by a thread that imports it at the same time: an import statement
takes what it finds there, waits until that has been executed, and goes on with what it took. A
loader, however, may return a module that exists, and nobody ever sees another. So an entry of
`sys.path_hooks` claims the package's own folder, and finds the submodules of `asgi_meta` in it.
Meanwhile their `__name__` is `asgiref.sync` and so on: monitoring agents that instrument asgiref
wait for a module that says it has this name.

Who is first is decided by the import system, which executes `asgiref` once: the lock in here
only keeps two callers of the functions below apart, and code that imports never waits for it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import asgi_meta

# asgi_meta has those of asgiref, and no others.
SUBMODULES = tuple(asgi_meta._OFFERS)
STAND_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_stand_in")
_PACKAGE = os.path.join(STAND_IN, "asgiref")

_lock = threading.RLock()


def install_as_asgiref() -> None:
    """Make `import asgiref` import these packages, everywhere in this process.

    To be called before anything has imported asgiref. From then on `asgiref.sync` is the module
    `asgi_meta.sync`, and so on for all submodules, and `importlib.metadata.version("asgiref")` is
    "3.13.0", whether asgiref is installed or not, unless these packages are in a zip archive: no
    metadata is found within one. Children that multiprocessing starts, by whichever method,
    inherit it, but not what a fork server preloads before them; other programs only below
    `python -m asgi_meta run`, and sub-interpreters not at all.

    May be called from any thread, and again, to no effect.

    Raises:
        RuntimeError: asgiref has been imported already. Nothing has changed then.

    Source: https://docs.python.org/3/reference/import.html#path-based-finder
    """
    with _lock:
        if is_installed():
            return
        _refuse_where_imported()
        if not _finds_stand_in():
            raise RuntimeError(
                f"the files that stand in for asgiref are not in {STAND_IN}: a program that was"
                " packed into one file needs all files of asgi_meta, with those that are not code"
            )
        before = sys.path.copy()
        sys.path[:] = [STAND_IN, *(entry for entry in before if entry != STAND_IN)]
        try:
            importlib.import_module("asgiref")
        finally:
            if not is_installed():
                sys.path[:] = before
        # Another thread may have begun to import it before the path was changed.
        if not is_installed():
            _refuse_where_imported()


def uninstall_as_asgiref() -> None:
    """Undo `install_as_asgiref`: `import asgiref` imports asgiref again, if it is installed.

    `sys.path`, `sys.path_hooks`, `sys.modules` and the PYTHONPATH that children inherit are as
    they were. What has been imported from asgiref meanwhile stays as it is where it is used; code
    that imports asgiref afterwards uses another library, whose thread for thread-sensitive code
    is another one. To no effect where nothing is installed.

    A child that has inherited it may undo it for itself, before or after it imports asgiref.
    """
    with _lock:
        if is_installed():
            _remove_modules()
        sys.path[:] = [entry for entry in sys.path if not stands_in(entry)]
        sys.path_hooks[:] = [hook for hook in sys.path_hooks if hook is not _claim]
        for folder in list(sys.path_importer_cache):
            if stands_in(folder) or folder == _PACKAGE:
                sys.path_importer_cache.pop(folder, None)
        _keep_from_children()


def is_installed() -> bool:
    """Whether `asgiref` in this process, once imported, is ours."""
    return _is_ours(sys.modules.get("asgiref"))


def stands_in(folder: object) -> bool:
    """Whether a folder on the path is STAND_IN, or that of another environment's asgi_meta.

    A program that another environment has started has that one in its PYTHONPATH.
    """
    return isinstance(folder, str) and os.path.basename(folder) == os.path.basename(STAND_IN)


def carry_to_children() -> None:
    """Have the Python programs that this process starts meet these packages as asgiref."""
    inherited = os.environ.get("PYTHONPATH")
    entries = inherited.split(os.pathsep) if inherited else []
    if STAND_IN not in entries:
        os.environ["PYTHONPATH"] = os.pathsep.join([STAND_IN, *entries])


def adopt(package: ModuleType) -> None:
    """Give the package `asgiref`, which is being imported, its submodules."""
    package.__path__ = [_PACKAGE]
    if _claim not in sys.path_hooks:
        sys.path_hooks.insert(0, _claim)
    sys.path_importer_cache.pop(_PACKAGE, None)


class _Submodules:
    """The finder for the package's folder, where the submodules of `asgi_meta` are found."""

    def find_spec(
        self, fullname: str, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        name = fullname.rpartition(".")[2]
        if name not in SUBMODULES:
            return None
        ours = importlib.util.find_spec(f"asgi_meta.{name}")
        origin = None if ours is None else ours.origin
        return importlib.machinery.ModuleSpec(fullname, _Existing(), origin=origin)

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """The names and whether each is a package, for `pkgutil`."""
        for name in SUBMODULES:
            yield prefix + name, False


class _Existing(importlib.abc.Loader):
    """Loads a submodule by returning that of `asgi_meta`."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"asgi_meta.{spec.name.rpartition('.')[2]}")
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has been executed; the import system has given it the spec of the other name.
        other, module.__spec__ = module.__spec__, self._own_spec
        assert other is not None
        module.__name__ = other.name


def _claim(folder: str) -> _Submodules:
    if folder != _PACKAGE:
        raise ImportError
    return _Submodules()


def _is_ours(module: ModuleType | None) -> bool:
    return list(getattr(module, "__path__", ())) == [_PACKAGE]


def _remove_modules() -> None:
    for name in _imported_names():
        module = sys.modules.pop(name)
        # What tests put there by hand may be anything.
        spec = getattr(module, "__spec__", None)
        if spec is not None:
            module.__name__ = spec.name


def _imported_names() -> list[str]:
    return [name for name in list(sys.modules) if name.partition(".")[0] == "asgiref"]


def _finds_stand_in() -> bool:
    return importlib.machinery.PathFinder.find_spec("asgiref", [STAND_IN]) is not None


def _refuse_where_imported() -> None:
    names = _imported_names()
    if not names:
        return
    name = min(names)
    where = getattr(sys.modules.get(name), "__file__", None) or "an unknown place"
    raise RuntimeError(
        f"{name} has been imported already, from {where}, and cannot be replaced any more: code"
        " that has imported from it goes on using it, and code that imports it later would use"
        " these packages. Each has a thread of its own for thread-sensitive code, so that what"
        " must stay in one thread, such as a database connection, would be used in two."
        " Call install_as_asgiref() before the first import of asgiref, or of what imports it"
        " (as Django does), or start the program by `python -m asgi_meta run`"
    )


def _keep_from_children() -> None:
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [entry for entry in inherited if not stands_in(entry)]
    if entries == inherited:
        return
    if entries:
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        del os.environ["PYTHONPATH"]
