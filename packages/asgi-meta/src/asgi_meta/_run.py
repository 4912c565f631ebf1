"""Runs a program with these packages in the place of asgiref: `python -m asgi_meta run`.

It runs in this process, as the debugger, the profiler or the interpreter options that this
process was started with expect, and finds everything as plain `python` has it.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType, TracebackType

from asgi_meta import _asgiref

# Private, but what the interpreter itself calls, by this name, for its option -m and for folders
# (`pymain_run_module` in Modules/main.c). The public functions put the former `__main__` back at
# the end, when threads and exit functions still need the program's.
_run_module_as_main = runpy._run_module_as_main  # type: ignore[attr-defined]

USAGE = "usage: python -m asgi_meta run (-m module | -c command | script) [argument ...]"


def run(arguments: Sequence[str]) -> None:
    """Run the program that the arguments name, as those of `python` do.

    Raises:
        SystemExit: The arguments are wrong, there is no such program, asgiref has been imported
            already, or the program has raised it.
        BaseException: What the program raises.
    """
    how, program, rest = _parse(arguments)
    here = _take_current_folder()
    try:
        _asgiref.install_as_asgiref()
    except RuntimeError as error:
        sys.exit(f"asgi_meta run: {error}")
    _asgiref.carry_to_children()
    main = _replace_main()
    try:
        if how == "-m":
            _begin(["-m", *rest], here)
            _run_module_as_main(program)
        elif how == "-c":
            _begin(["-c", *rest], None if sys.flags.safe_path else "")
            exec(_compile_command(program), vars(main))
        elif pkgutil.get_importer(program) is not None:
            # Put there even where the path is to be safe: it is where the program is.
            _begin([program, *rest], _absolute(program))
            _run_module_as_main("__main__", False)
        else:
            _run_script(main, program, rest)
    except BaseException:
        _show_without_own_frames()
        raise


def _parse(arguments: Sequence[str]) -> tuple[str, str, list[str]]:
    """How to run, what, and its arguments."""
    first, *rest = arguments or ("",)
    if first in ("-h", "--help"):
        print(f"{USAGE}\n\nRun a Python program with these packages in the place of asgiref.")
        sys.exit(0)
    if first[:2] in ("-m", "-c"):
        program = [first[2:]] if first[2:] else rest[:1]
        if program:
            return first[:2], program[0], rest if first[2:] else rest[1:]
    elif first and not first.startswith("-"):
        return "script", first, rest
    wrong = f"{first!r} is not followed by one" if first[:2] in ("-m", "-c") else repr(first)
    print(f"{USAGE}\nasgi_meta run: expected a program, got {wrong}", file=sys.stderr)
    sys.exit(2)


def _replace_main() -> ModuleType:
    """Make an empty module `__main__`, as the interpreter does, in the place of ours."""
    main = ModuleType("__main__")
    names = vars(main)
    names["__builtins__"] = builtins
    names["__loader__"] = importlib.machinery.BuiltinImporter
    # Older interpreters make it, newer ones do not.
    if "__annotations__" in vars(sys.modules["__main__"]):
        names["__annotations__"] = {}
    sys.modules["__main__"] = main
    return main


def _take_current_folder() -> str | None:
    """Take from the path what `python -m` has put first, as `python` may put another there.

    None if it has put nothing there.
    """
    try:
        os.getcwd()
    except OSError:
        # It is gone, and so was not put there.
        return None
    return None if sys.flags.safe_path else sys.path.pop(0)


def _begin(arguments: list[str], first_on_path: str | None) -> None:
    sys.argv[:] = arguments
    if first_on_path is not None:
        sys.path.insert(0, first_on_path)


def _absolute(path: str) -> str:
    # As the interpreter makes it: normalised on Windows only.
    if os.name == "nt" or path == ".":
        return os.path.abspath(path)
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:
        # The current folder is gone, which is nothing to a path that does not begin there.
        return path


def _run_script(main: ModuleType, program: str, rest: list[str]) -> None:
    file = _absolute(program)
    code, loader = _load(file)
    _begin([program, *rest], None if sys.flags.safe_path else _folder_of(file))
    main.__dict__.update(__file__=file, __loader__=loader)
    if sys.version_info < (3, 15):
        main.__dict__["__cached__"] = None
    exec(code, vars(main))


def _folder_of(script: str) -> str:
    # As the interpreter makes it, which on Windows follows neither links nor mapped drives.
    return os.path.dirname(script if os.name == "nt" else os.path.realpath(script))


def _compile(source: str | bytes, name: str) -> CodeType:
    # Without the future statements of this module.
    return compile(source, name, "exec", dont_inherit=True)


def _compile_command(program: str) -> CodeType:
    name = "<string>"
    # As the interpreter does from these versions on; the others need not import the modules.
    if sys.version_info >= (3, 14):
        import textwrap

        program = textwrap.dedent(program)
    if sys.version_info >= (3, 13):
        import linecache

        # Where tracebacks find its lines.
        linecache.cache[name] = (len(program), None, program.splitlines(keepends=True), name)
    return _compile(program, name)


def _load(file: str) -> tuple[CodeType, object]:
    if file.endswith(".pyc"):
        sourceless = importlib.machinery.SourcelessFileLoader("__main__", file)
        code = sourceless.get_code("__main__")
        assert code is not None
        return code, sourceless
    try:
        with io.open_code(file) as source:
            text = source.read()
    except OSError as error:
        # As the interpreter says it, and with its exit status.
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.orig_argv[0]}: can't open file {file!r}: {reason}", file=sys.stderr)
        sys.exit(2)
    loader = importlib.machinery.SourceFileLoader("__main__", file)
    return _compile(text, file), loader


def _show_without_own_frames() -> None:
    """Have the error that the program raises shown as if it had been run by `python`.

    By the hook in force now, which may be the program's own. The error must still leave the
    interpreter by itself, which knows what an exit status or an interrupt is to become.
    """
    show = sys.excepthook

    def show_trimmed(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        trimmed = _below_this_package(traceback)
        show(kind, error.with_traceback(trimmed), trimmed)

    sys.excepthook = show_trimmed


def _below_this_package(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from where it leaves this package for the first time."""
    while traceback is not None and not _is_own(traceback):
        traceback = traceback.tb_next
    while traceback is not None and _is_own(traceback):
        traceback = traceback.tb_next
    return traceback


def _is_own(traceback: TracebackType) -> bool:
    file = traceback.tb_frame.f_code.co_filename
    return os.path.dirname(file) == os.path.dirname(__file__)
