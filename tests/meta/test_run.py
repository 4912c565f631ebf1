"""`python -m asgi_meta run`: a program finds everything as with plain `python`, but asgiref."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.children import Ended
from helpers.stand_in import python

from asgi_meta import _asgiref, _run
from asgi_meta._command_line import main

RUN = ("-m", "asgi_meta", "run")

# What a program sees of how it was started. Specs and loaders have no value to compare by.
TELL = """
import json, sys
def told(value):
    return value if isinstance(value, str | None) else getattr(value, "name", type(value).__name__)
print(json.dumps({
    "globals": {name: told(value) for name, value in sorted(globals().items()) if name[:2] == "__"},
    "names": sorted(globals()),
    "is_main": sys.modules["__main__"].__dict__ is globals(),
    "argv": sys.argv,
    "path": [entry for entry in sys.path if not entry.endswith("_stand_in")],
    "type": type(__builtins__).__name__,
}))
"""
OURS = "from asgiref.sync import sync_to_async; print(sync_to_async.__module__)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs of every kind, all of which tell the same."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "folder").mkdir()
    for name in ("script.py", "package/__main__.py", "package/module.py", "folder/__main__.py"):
        (tmp_path / name).write_text(TELL)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", TELL)
    return tmp_path


def both(*arguments: str, cwd: Path, options: tuple[str, ...] = ()) -> tuple[Ended, Ended]:
    """How a program ends by plain `python`, and by `run`."""
    with ThreadPoolExecutor() as pool:
        plain = pool.submit(python, *options, *arguments, cwd=cwd)
        run = pool.submit(python, *options, *RUN, *arguments, cwd=cwd)
        return plain.result(), run.result()


KINDS: list[tuple[str, ...]] = [
    ("script.py",),
    ("package/../script.py", "-m", "x"),
    ("-m", "package"),
    ("-mpackage.module", "--help"),
    ("folder", "a b", ""),
    ("archive.zip", "x"),
    ("-c", TELL, "-c"),
]


@pytest.mark.parametrize("arguments", KINDS, ids=lambda arguments: arguments[0])
def test_a_program_finds_everything_as_with_plain_python(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    plain, run = both(*arguments, cwd=folder)
    assert (plain.status, plain.err) == (run.status, run.err) == (0, "")
    assert json.loads(run.out) == json.loads(plain.out)


@pytest.mark.parametrize("arguments", [("script.py",), ("-m", "package"), ("-c", TELL)])
def test_the_safe_path_is_kept(folder: Path, arguments: tuple[str, ...]) -> None:
    plain, run = both(*arguments, cwd=folder, options=("-P",))
    assert (run.status, run.out and json.loads(run.out)) == (
        plain.status,
        plain.out and json.loads(plain.out),
    )


@pytest.mark.parametrize("program", ["folder", "archive.zip"])
def test_a_folder_with_a_program_is_on_the_safe_path(folder: Path, program: str) -> None:
    """As the interpreter has it: the program itself is found there."""
    plain, run = both(program, cwd=folder, options=("-P",))
    assert (run.status, run.err) == (0, "")
    assert json.loads(run.out) == json.loads(plain.out)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_a_script_is_run_where_it_leads(folder: Path) -> None:
    (folder / "package" / "link.py").symlink_to(folder / "script.py")
    plain, run = both("package/link.py", cwd=folder)
    assert run.status == 0
    assert json.loads(run.out) == json.loads(plain.out)


def test_a_compiled_script_is_run(folder: Path) -> None:
    code = "import py_compile; py_compile.compile('script.py', cfile='compiled.pyc')"
    assert python("-c", code, cwd=folder).status == 0
    plain, run = both("compiled.pyc", cwd=folder)
    assert run.status == 0
    assert json.loads(run.out) == json.loads(plain.out)


ANNOTATED = "def f(x: int): ...\nprint(f.__annotations__)"


@pytest.mark.parametrize("arguments", [("program.py",), ("-c", ANNOTATED)], ids=["script", "-c"])
def test_a_program_has_only_the_future_statements_of_its_own(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "program.py").write_text(ANNOTATED)
    plain, run = both(*arguments, cwd=tmp_path)
    assert run == plain == Ended(0, "{'x': <class 'int'>}\n", "")


# Starts the interpreter again, with the arguments, in a folder that is gone.
GO_AWAY = (
    "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone');"
    " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use stays there")
@pytest.mark.parametrize("kind", ["script", "-m", "-c"])
def test_a_program_is_run_where_the_current_folder_is_gone(folder: Path, kind: str) -> None:
    """As in a server whose release folder has been replaced."""
    arguments = {"script": [folder / "script.py"], "-m": ["-m", "package"], "-c": ["-c", TELL]}
    plain, run = (
        python("-c", GO_AWAY, *how, *arguments[kind], cwd=folder, PYTHONPATH=str(folder))
        for how in ((), RUN)
    )
    assert (run.status, run.err) == (0, "")
    assert json.loads(run.out) == json.loads(plain.out)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use stays there")
def test_a_script_that_went_with_the_current_folder_is_missed_as_by_plain_python(
    tmp_path: Path,
) -> None:
    plain, run = (python("-c", GO_AWAY, *how, "script.py", cwd=tmp_path) for how in ((), RUN))
    assert run == plain
    assert run.status == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_on_windows_the_folder_of_a_script_is_found_without_following_links(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a drive that stands for a folder of a server would become that folder."""
    (folder / "package" / "link.py").symlink_to(folder / "script.py")
    link = str(folder / "package" / "link.py")
    assert _run._folder_of(link) == os.path.realpath(folder)
    windows = SimpleNamespace(name="nt", path=os.path)
    monkeypatch.setattr(_run, "os", windows)
    assert _run._folder_of(link) == str(folder / "package")


ENDS = {
    "returns": "print('done')",
    "exits": "import sys; sys.exit(3)",
    "exits with a text": "import sys; sys.exit('that was it')",
    "exits without a word": "raise SystemExit",
    "raises": "def f():\n    1 / 0\ntry:\n    f()\nexcept ArithmeticError as e:\n    {}[e]",
    "is not Python": "def f(:",
    "is interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "has a hook of its own": "import sys\n"
    "sys.excepthook = lambda kind, error, tb: print(kind, error, tb.tb_frame.f_code.co_filename)\n"
    "{}['key']",
    "ends in a thread": "import threading, sys\n"
    "x = 1\n"
    "def end():\n"
    "    threading.main_thread().join()\n"
    "    print(sys.modules['__main__'].x)\n"
    "threading.Thread(target=end).start()",
    "ends in an exit function": "import atexit, sys\n"
    "x = 2\n"
    "atexit.register(lambda: print(sys.modules['__main__'].x, x))",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_script_ends_as_with_plain_python(tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(ENDS[how])
    plain, run = both("program.py", cwd=tmp_path)
    assert run == plain


@pytest.mark.parametrize("how", ["raises", "is not Python", "has a hook of its own"])
def test_a_module_ends_as_with_plain_python(tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(ENDS[how])
    plain, run = both("-m", "program", cwd=tmp_path)
    assert run == plain


@pytest.mark.parametrize("command", ["def f():\n    1 / 0\nf()", "  print('indented')", "def f(:"])
def test_a_command_ends_as_with_plain_python(command: str) -> None:
    """Newer versions show its lines in tracebacks, and dedent it."""
    plain, run = both("-c", command, cwd=Path.cwd())
    assert run == plain


@pytest.mark.parametrize(
    "arguments", [("missing.py",), ("-m", "missing"), ("-m", "missing.part"), (".",)]
)
def test_a_program_that_is_not_there_is_missed_as_by_plain_python(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    plain, run = both(*arguments, cwd=tmp_path)
    assert run == plain
    assert run.status != 0


@pytest.mark.parametrize("arguments", [[], ["-m"], ["-c"], ["-x", "script.py"], [""]])
def test_arguments_that_name_no_program_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m asgi_meta run (-m module |")


@pytest.mark.parametrize("arguments", [[], ["walk"]])
def test_there_is_no_other_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "expected a command" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["doctor", "-h"]])
def test_help_is_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main(arguments)
    printed = capsys.readouterr()
    assert printed.out.startswith("usage: python -m asgi_meta ")
    assert printed.err == ""


@pytest.mark.parametrize("options", [("-I",), ("-P", "-X", "dev", "-O", "-u")])
def test_asgiref_is_ours_with_any_option_of_the_interpreter(options: tuple[str, ...]) -> None:
    ended = python(*options, *RUN, "-c", OURS)
    assert ended == Ended(0, "asgi_sync._sync_to_async\n", "")


def test_where_asgiref_has_been_imported_before_nothing_is_run(tmp_path: Path) -> None:
    """As by a plugin that the interpreter itself imports at its start."""
    pytest.importorskip("asgiref")
    (tmp_path / "sitecustomize.py").write_text("import asgiref.sync")
    ended = python(*RUN, "-c", "print('run')", PYTHONPATH=str(tmp_path))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("asgi_meta run: asgiref has been imported already, from ")


CHILDREN = f"""
import multiprocessing, os, subprocess, sys

def met():
    import importlib.metadata
    from asgiref.sync import sync_to_async
    return sync_to_async.__module__, importlib.metadata.requires("asgiref"), __name__

if __name__ == "__main__":
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.apply(met)[:2])
    print(os.environ["PYTHONPATH"])
    # A child of a child, as of a server that reloads.
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", code, {OURS!r}])
"""


def test_all_children_of_a_program_meet_the_same(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CHILDREN)
    ignored = ("-W", "ignore::DeprecationWarning")  # for forking with threads
    ended = python(*ignored, *RUN, "-m", "program", cwd=tmp_path, PYTHONPATH="/before")
    assert ended.err == ""
    *met, path, last = ended.out.splitlines()
    assert set(met) == {"('asgi_sync._sync_to_async', ['asgi-meta'])"}
    assert path == f"{_asgiref.STAND_IN}{os.pathsep}/before"
    assert last == "asgi_sync._sync_to_async"


def test_a_program_that_runs_another_in_its_place_carries_it_once() -> None:
    code = "import os, sys; print([os.environ['PYTHONPATH'], sys.path[1]])"
    ended = python(*RUN, *RUN, "-c", code)
    assert ended == Ended(0, f"{[_asgiref.STAND_IN] * 2}\n", "")


def test_a_program_may_undo_it_for_its_children_too() -> None:
    ended = python(
        *RUN,
        "-c",
        "import asgi_meta, os; asgi_meta.uninstall_as_asgiref(); print('PYTHONPATH' in os.environ)",
    )
    assert ended == Ended(0, "False\n", "")


RESTART = """
import json, sys
from django.utils.autoreload import get_child_arguments
print(json.dumps(get_child_arguments()))
"""


@pytest.mark.parametrize("arguments", [("program.py", "runserver"), ("-m", "package", "x")])
def test_djangos_reloader_starts_the_same_program_again(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Its environment is what makes it ours again."""
    pytest.importorskip("django")
    (tmp_path / "package").mkdir()
    for name in ("program.py", "package/__main__.py"):
        (tmp_path / name).write_text(RESTART)
    plain, run = both(*arguments, cwd=tmp_path)
    assert (run.status, run.err) == (0, "")
    assert run.out == plain.out


@pytest.mark.skipif(sys.platform == "win32", reason="its exit status of Ctrl-C is another")
def test_a_program_that_is_interrupted_has_the_exit_status_of_that(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(ENDS["is interrupted"])
    assert python(*RUN, "program.py", cwd=tmp_path).status == -signal.SIGINT
