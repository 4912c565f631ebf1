"""`install_as_asgiref`: what a process meets as asgiref, and what is left when it is undone."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers.stand_in import passes, passes_without_asgiref, python

from asgi_meta import _asgiref

pytest.importorskip("asgiref")

INSTALL = "import asgi_meta; asgi_meta.install_as_asgiref()\n"


def test_every_submodule_is_the_very_module_of_asgi_meta() -> None:
    passes("""
        import asgi_meta, importlib
        asgi_meta.install_as_asgiref()
        names = ["compatibility", "current_thread_executor", "local", "server", "sync", "testing",
                 "timeout", "typing", "wsgi"]
        for name in names:
            theirs = importlib.import_module(f"asgiref.{name}")
            assert theirs is importlib.import_module(f"asgi_meta.{name}"), name
            assert theirs.__spec__.name == f"asgi_meta.{name}", theirs.__spec__
    """)


def test_all_ways_to_import_lead_there() -> None:
    passes("""
        import asgi_meta, asgi_local, asgi_sync
        asgi_meta.install_as_asgiref()
        import asgiref
        assert asgiref.sync.sync_to_async is asgi_sync.sync_to_async
        from asgiref.local import Local
        assert Local is asgi_local.Local
        from asgiref import wsgi
        import asgiref.testing as testing
        assert (wsgi, testing) == (asgi_meta.wsgi, asgi_meta.testing)
        assert __import__("asgiref.server", fromlist=["StatelessServer"]) is asgi_meta.server
    """)


def test_what_is_not_there_is_missed_as_in_any_package() -> None:
    passes("""
        import asgi_meta
        asgi_meta.install_as_asgiref()
        import asgiref
        try:
            asgiref.missing
        except AttributeError as error:
            assert str(error) == "module 'asgiref' has no attribute 'missing'"
        else:
            raise AssertionError
        try:
            import asgiref.missing
        except ModuleNotFoundError as error:
            assert error.name == "asgiref.missing"
        else:
            raise AssertionError
    """)


def test_a_submodule_is_imported_when_it_is_used() -> None:
    passes("""
        import asgi_meta, sys
        asgi_meta.install_as_asgiref()
        import asgiref
        ours = {"asgi_sync", "asgi_local", "asgi_server", "asgi_wsgi"}
        assert ours.isdisjoint(sys.modules)
        import asgiref.sync
        assert ours.intersection(sys.modules) == {"asgi_sync"}
    """)


VERSION_IS_OURS = """
    import asgi_meta
    asgi_meta.install_as_asgiref()
    import asgiref, importlib.metadata as metadata
    assert asgiref.__version__ == metadata.version("asgiref") == "3.13.0"
    found = metadata.distribution("asgiref")
    assert found.metadata["Name"] == "asgiref" and "asgi-meta" in found.metadata["Summary"]
    assert metadata.requires("asgiref") == ["asgi-meta"]
    assert "asgiref" in metadata.packages_distributions()["asgiref"]
"""


def test_its_version_is_that_of_the_asgiref_it_stands_in_for() -> None:
    passes(VERSION_IS_OURS)


def test_its_version_is_found_where_asgiref_is_not_installed(only_ours: str) -> None:
    passes_without_asgiref(only_ours, VERSION_IS_OURS)


def test_installers_that_run_with_it_leave_its_files_alone() -> None:
    """Without a list of files they refuse; of an egg-info they remove what `top_level` names.

    See https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
    """
    (metadata,) = Path(_asgiref.STAND_IN).glob("asgiref-*")
    assert metadata.suffix == ".dist-info"
    assert (metadata / "INSTALLER").read_text().strip() == "asgi-meta"
    assert not (metadata / "RECORD").exists()


def test_specs_are_found_before_and_after_the_import() -> None:
    passes("""
        import asgi_meta
        asgi_meta.install_as_asgiref()
        from importlib.util import find_spec
        before = find_spec("asgiref.wsgi")
        assert (before.name, before.origin) == ("asgiref.wsgi", find_spec("asgi_meta.wsgi").origin)
        import asgiref.wsgi
        assert find_spec("asgiref.wsgi").origin == before.origin
        assert find_spec("asgiref").submodule_search_locations
        assert find_spec("asgiref.missing") is None
    """)


def test_its_submodules_are_listed() -> None:
    passes("""
        import asgi_meta, pkgutil
        asgi_meta.install_as_asgiref()
        import asgiref
        names = [name for _, name, is_package in pkgutil.walk_packages(asgiref.__path__, "asgiref.")
                 if not is_package]
        assert sorted(names) == ["asgiref." + name for name in (
            "compatibility", "current_thread_executor", "local", "server", "sync", "testing",
            "timeout", "typing", "wsgi")]
        assert pkgutil.resolve_name("asgiref.sync:sync_to_async") is asgi_meta.sync_to_async
    """)


def test_modules_can_be_reloaded() -> None:
    passes("""
        import asgi_meta, importlib, sys
        asgi_meta.install_as_asgiref()
        import asgiref, asgiref.local
        hooks = sys.path_hooks[:]
        assert importlib.reload(asgiref) is asgiref
        assert sys.path_hooks == hooks
        assert importlib.reload(asgiref.local) is asgi_meta.local
    """)


def test_an_agent_that_waits_for_asgiref_hears_of_our_module() -> None:
    """Hooks after an import look for a module that has the name they wait for."""
    pytest.importorskip("wrapt")
    passes("""
        import asgi_meta, wrapt
        seen = []
        wrapt.register_post_import_hook(seen.append, "asgiref.sync")
        asgi_meta.install_as_asgiref()
        import asgiref.sync
        assert seen == [asgi_meta.sync]
    """)


def test_what_was_pickled_by_either_name_is_loaded() -> None:
    passes("""
        import asgi_meta, pickle
        asgi_meta.install_as_asgiref()
        import asgiref.local, asgiref.sync, asgiref.testing, asgiref.typing, asgiref.wsgi
        assert pickle.loads(b"casgiref.sync\\nSyncToAsync\\n.") is asgiref.sync.SyncToAsync
        assert pickle.loads(b"casgiref.server\\nStatelessServer\\n.") is asgi_meta.StatelessServer
        things = [
            asgiref.local.Local, asgiref.sync.sync_to_async, asgiref.sync.ThreadSensitiveContext,
            asgiref.testing.ApplicationCommunicator, asgiref.typing.HTTPScope,
            asgiref.wsgi.WsgiToAsgi,
        ]
        pickled = pickle.dumps(things)
        asgi_meta.uninstall_as_asgiref()
        assert all(a is b for a, b in zip(pickle.loads(pickled), things, strict=True))
    """)


def test_too_late_it_says_what_would_go_wrong_and_changes_nothing() -> None:
    passes("""
        import asgi_meta, os, sys
        import asgiref.local
        def state():
            return (sys.path[:], sys.path_hooks[:], sys.meta_path[:], dict(os.environ),
                    {name: module for name, module in sys.modules.items() if "asgiref" in name
                     and not name.startswith("asgi_meta")})
        asgi_meta.install_as_asgiref
        before = state()
        try:
            asgi_meta.install_as_asgiref()
        except RuntimeError as error:
            said = str(error)
        else:
            raise AssertionError
        assert asgiref.__file__ in said and "thread-sensitive" in said
        assert "before the first import of asgiref" in said and "asgi_meta run" in said
        assert state() == before
        assert "site-packages" in asgiref.local.__file__
        asgi_meta.uninstall_as_asgiref()
        assert state() == before
    """)


def test_a_part_of_asgiref_that_somebody_put_there_by_hand_is_too_late_as_well() -> None:
    passes("""
        import asgi_meta, sys, types
        sys.modules["asgiref.sync"] = types.ModuleType("asgiref.sync")
        try:
            asgi_meta.install_as_asgiref()
        except RuntimeError as error:
            assert "asgiref.sync" in str(error)
        else:
            raise AssertionError
        assert "asgiref" not in sys.modules
    """)


def test_twice_is_once() -> None:
    passes("""
        import asgi_meta, sys
        asgi_meta.install_as_asgiref()
        import asgiref.sync
        before = sys.path[:], sys.path_hooks[:], asgiref
        asgi_meta.install_as_asgiref()
        assert (sys.path, sys.path_hooks, sys.modules["asgiref"]) == before
    """)


def test_many_threads_may_install_and_import_at_once() -> None:
    passes("""
        import asgi_meta, importlib, sys, threading
        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier(12)
        failed, found = [], []
        def start():
            barrier.wait()
            try:
                asgi_meta.install_as_asgiref()
                from asgiref.local import Local
                from asgiref.sync import sync_to_async
                import asgiref
                found.append((asgiref, asgiref.sync, Local, sync_to_async))
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=start) for _ in range(12)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert failed == []
        assert len(found) == 12 and len(set(found)) == 1
        from asgi_meta import _asgiref
        assert sys.path.count(_asgiref.STAND_IN) == 1
        assert sys.path_hooks.count(_asgiref._claim) == 1
    """)


def test_a_thread_that_imports_a_submodule_meanwhile_gets_the_same_one() -> None:
    """It finds what another thread has begun to import, waits, and goes on with that object."""
    passes("""
        import asgi_meta, sys, threading
        from importlib.machinery import PathFinder
        asgi_meta.install_as_asgiref()
        import asgiref
        begun, go_on = threading.Event(), threading.Event()

        class Slow:
            def find_spec(self, name, path, target=None):
                if name != "asgi_server.testing":
                    return None
                spec = PathFinder.find_spec(name, path)
                execute = spec.loader.exec_module
                def wait_and_execute(module):
                    begun.set()
                    go_on.wait()
                    execute(module)
                spec.loader.exec_module = wait_and_execute
                return spec

        def get():
            from asgiref.testing import ApplicationCommunicator
            found.append((sys.modules["asgiref.testing"], ApplicationCommunicator))

        def is_waiting(thread):
            frame = sys._current_frames().get(thread.ident)
            while frame is not None:
                if frame.f_code.co_name == "acquire":
                    return True
                frame = frame.f_back
            return False

        found = []
        sys.meta_path.insert(0, Slow())
        first, second = threading.Thread(target=get), threading.Thread(target=get)
        first.start()
        begun.wait()
        second.start()
        while not is_waiting(second):
            pass
        go_on.set()
        first.join()
        second.join()
        assert found == [(asgi_meta.testing, asgi_meta.ApplicationCommunicator)] * 2
    """)


def test_another_thread_that_imports_asgiref_first_wins_and_is_told_of() -> None:
    passes("""
        import asgi_meta, sys
        from asgi_meta import _asgiref
        before = sys.path[:]
        find = _asgiref._finds_stand_in
        def meanwhile():
            import asgiref.sync
            return find()
        _asgiref._finds_stand_in = meanwhile
        try:
            asgi_meta.install_as_asgiref()
        except RuntimeError as error:
            assert "imported already" in str(error)
        else:
            raise AssertionError
        assert sys.path == before
        import asgiref.local
        assert "site-packages" in asgiref.local.__file__
    """)


def test_an_importer_that_fails_leaves_nothing_changed() -> None:
    passes("""
        import asgi_meta, sys
        class Broken:
            def find_spec(self, name, path, target=None):
                if name == "asgiref":
                    raise OSError("no such disk")
        sys.meta_path.insert(0, Broken())
        before = sys.path[:]
        try:
            asgi_meta.install_as_asgiref()
        except OSError:
            pass
        else:
            raise AssertionError
        assert sys.path == before and "asgiref" not in sys.modules
        del sys.meta_path[0]
        asgi_meta.install_as_asgiref()
        import asgiref.sync
        assert asgiref.sync is asgi_meta.sync
    """)


def test_it_is_undone_where_a_test_has_put_something_into_its_place() -> None:
    passes("""
        import asgi_meta, sys
        asgi_meta.install_as_asgiref()
        sys.modules["asgiref.sync"] = None
        sys.modules["asgiref.local"] = object()
        asgi_meta.uninstall_as_asgiref()
        assert not [name for name in sys.modules if name.startswith("asgiref")]
    """)


UNDONE = """
    import asgi_meta, importlib.metadata as metadata, os, sys
    from asgi_meta import _asgiref, sync
    def state():
        return (sys.path[:], sys.path_hooks[:], sys.meta_path[:], dict(os.environ), sync.__name__,
                [name for name in sys.modules if name.startswith("asgiref")],
                [name for name in sys.path_importer_cache if "_stand_in" in name],
                [str(found.locate_file("")) for found in metadata.distributions(name="asgiref")])
    before = state()
    asgi_meta.install_as_asgiref()
    _asgiref.carry_to_children()
    import asgiref.sync, asgiref.local
    assert all(a != b for i, (a, b) in enumerate(zip(state(), before)) if i != 2)
    asgi_meta.uninstall_as_asgiref()
    assert state() == before
"""


def test_it_is_undone_without_a_trace() -> None:
    passes(f"""{UNDONE}
    import asgiref.sync
    assert "site-packages" in asgiref.sync.__file__
    assert asgiref.sync is not asgi_meta.sync
    """)


def test_it_is_undone_where_pythonpath_was_set() -> None:
    passes(UNDONE, PYTHONPATH=f"/somewhere{os.pathsep}/else")


def test_undone_where_asgiref_is_not_installed_there_is_none(only_ours: str) -> None:
    passes_without_asgiref(
        only_ours,
        f"""{UNDONE}
    try:
        import asgiref
    except ModuleNotFoundError as error:
        assert error.name == "asgiref"
    else:
        raise AssertionError
    """,
    )


def test_it_can_be_done_again() -> None:
    passes(f"""{UNDONE}
    asgi_meta.install_as_asgiref()
    import asgiref.sync
    assert asgiref.sync is sync
    """)


def test_nothing_is_undone_where_nothing_was_done() -> None:
    passes("""
        import asgi_meta, sys
        import asgiref.sync
        path, theirs = sys.path[:], asgiref.sync
        asgi_meta.uninstall_as_asgiref()
        assert (sys.path, sys.modules["asgiref.sync"]) == (path, theirs)
    """)


@pytest.mark.parametrize("folder", ["ours", "another environment's"])
def test_a_child_may_undo_it_before_it_has_imported_asgiref(tmp_path: Path, folder: str) -> None:
    inherited = Path(_asgiref.STAND_IN)
    if folder != "ours":
        inherited = shutil.copytree(inherited, tmp_path / inherited.name)
    passes(
        """
        import asgi_meta, os, sys
        sys.path.append(None)  # ignored, as whatever is not text
        asgi_meta.uninstall_as_asgiref()
        assert not [entry for entry in sys.path if "_stand_in" in str(entry)]
        assert os.environ["PYTHONPATH"] == "/other"
        import asgiref.sync
        assert asgiref.sync is not asgi_meta.sync
        """,
        PYTHONPATH=os.pathsep.join([str(inherited), "/other"]),
    )


CHILDREN = """
import multiprocessing, os, subprocess, sys

def met():
    import importlib.metadata
    from asgiref.sync import sync_to_async
    return (sync_to_async.__module__, importlib.metadata.requires("asgiref"))

if __name__ == "__main__":
    import asgi_meta
    asgi_meta.install_as_asgiref()
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(met) == ("asgi_sync._sync_to_async", ["asgi-meta"]), method
    assert "PYTHONPATH" not in os.environ
    code = "import asgiref; print(asgiref.__file__)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "site-packages" in other.stdout, other
"""


@pytest.mark.filterwarnings("ignore")
def test_children_of_multiprocessing_inherit_it_and_other_programs_do_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CHILDREN)
    # From Python 3.12 on, forking with threads is warned of: that of a pool is one.
    ended = python("-W", "ignore::DeprecationWarning", script)
    assert (ended.status, ended.err) == (0, "")


def test_an_environment_without_asgi_meta_gets_its_own_asgiref(tmp_path: Path) -> None:
    """PYTHONPATH reaches the Pythons of other environments, too."""
    (tmp_path / "asgiref").mkdir()
    (tmp_path / "asgiref" / "__init__.py").write_text("__version__ = 'its own'")
    passes(
        """
        import sys, asgiref
        assert asgiref.__version__ == "its own", asgiref
        assert not any("_stand_in" in entry for entry in sys.path)
        """,
        "-S",
        PYTHONPATH=os.pathsep.join([_asgiref.STAND_IN, str(tmp_path)]),
    )


def test_an_environment_with_neither_is_told_that_there_is_no_asgiref() -> None:
    ended = python("-S", "-c", "import asgiref", PYTHONPATH=_asgiref.STAND_IN)
    assert ended.status == 1
    # Newer Pythons end the line with a hint about `-S`.
    last = ended.err.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: No module named 'asgiref'")
    assert "asgi_meta'" not in ended.err


def test_a_program_started_by_another_environment_uses_its_own_packages(tmp_path: Path) -> None:
    """PYTHONPATH names the folder of that environment's asgi-meta, and leads to this one's."""
    folder = tmp_path / "_stand_in"
    shutil.copytree(_asgiref.STAND_IN, folder)
    passes(
        """
        import asgiref.sync, asgi_meta, sys, os
        assert asgiref.__file__.startswith(sys.path[1])
        assert asgiref.sync is asgi_meta.sync
        before = sys.path[:]
        asgi_meta.install_as_asgiref()
        assert sys.path == before
        asgi_meta.uninstall_as_asgiref()
        assert sys.path == before[:1] + before[2:]
        assert "PYTHONPATH" not in os.environ
        """,
        PYTHONPATH=str(folder),
    )


def zipped(target: Path, sources: Iterable[Path], *, leave_out: str = "nothing") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for source in sources:
            for path in source.rglob("*"):
                if leave_out not in path.parts:
                    archive.write(path, path.relative_to(source))
    return target


def test_it_stands_in_from_within_a_zip_archive(tmp_path: Path, sources: dict[str, Path]) -> None:
    passes(
        f"""{INSTALL}
import asgiref.sync, asgiref.typing
assert ".zip" in asgiref.__file__, asgiref
assert asgiref.sync is asgi_meta.sync
""",
        "-S",
        PYTHONPATH=str(zipped(tmp_path / "all.zip", sources.values())),
    )


def test_without_its_files_it_says_so_and_changes_nothing(
    tmp_path: Path, sources: dict[str, Path]
) -> None:
    """As in a program that was packed by a tool that takes code alone."""
    archive = zipped(tmp_path / "all.zip", sources.values(), leave_out="_stand_in")
    passes(
        """
        import asgi_meta, sys
        before = sys.path[:]
        try:
            asgi_meta.install_as_asgiref()
        except RuntimeError as error:
            assert "are not in" in str(error)
        else:
            raise AssertionError
        assert sys.path == before and "asgiref" not in sys.modules
        """,
        "-S",
        PYTHONPATH=str(archive),
    )


def test_it_needs_no_site_packages_and_no_environment(only_ours: str) -> None:
    passes(f"{only_ours}{INSTALL}import asgiref.sync", "-I", "-S")


def test_nothing_is_imported_that_is_not_needed() -> None:
    """It is done by every program that is run with it."""
    ended = python("-X", "importtime", "-c", INSTALL)
    assert ended.status == 0
    imported = {line.rpartition("|")[2].strip() for line in ended.err.splitlines()}
    assert imported.isdisjoint({"asyncio", "argparse", "asgi_sync"})
