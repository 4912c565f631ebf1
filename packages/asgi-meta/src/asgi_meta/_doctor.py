"""Says what there is, and what does not fit together: `python -m asgi_meta doctor`."""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import sysconfig
import warnings
from collections.abc import Sequence
from typing import Any

from asgi_meta import _asgiref
from asgi_meta._report import as_text
from asgi_meta._requirements import is_within, project_of, satisfies

# Each after those that it depends on.
PACKAGES = ("asgi-sync", "asgi-local", "asgi-server", "asgi-wsgi", "asgi-meta")

HELP = """\
usage: python -m asgi_meta doctor [--json]

Say which versions of the five packages are installed and whether they fit together, which Python
and event loop they run on here, and whether `import asgiref` would import them or asgiref.

  --json    print one JSON object: "ok", "problems" and "notes" (lists of sentences), and
            "packages", "asgiref", "python", "event_loop" and "greenlets". What is not installed
            or not known is null. "schema" is 1, until a name or a meaning changes.

The exit status is 0 if nothing is wrong, 1 if something is, 2 if the arguments are wrong.
To ask about the place of a program, start it by `python -m asgi_meta run -m asgi_meta doctor`.
"""


def main(arguments: Sequence[str]) -> int:
    """Print a report of the environment that this runs in; return the exit status."""
    if any(argument in ("-h", "--help") for argument in arguments):
        _tell(HELP)
        return 0
    if any(argument != "--json" for argument in arguments):
        print(f"asgi_meta doctor: cannot use {' '.join(arguments)}\n\n{HELP}", file=sys.stderr)
        return 2
    report = examine()
    _tell(f"{json.dumps(report, indent=2) if arguments else as_text(report)}\n")
    return 0 if report["ok"] else 1


def _tell(text: str) -> None:
    """Print it as far as it can be printed, for the exit status tells the most important part."""
    # A path may have characters that the output cannot show.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
    except OSError as error:
        # Nobody reads any more, as of a pipe into `head`; the second is how Windows says so.
        if error.errno not in (errno.EPIPE, errno.EINVAL):
            raise
        # The interpreter flushes what is left at its end:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def examine() -> dict[str, Any]:
    """The report, as `--json` prints it."""
    python = _python()
    packages = {name: _package(name) for name in PACKAGES}
    greenlets = _greenlets()
    here = _asgiref_here()
    problems = [problem for name in PACKAGES for problem in _problems_of(name, packages[name])]
    if _asgiref.STAND_IN in sys.path:
        problems += _problems_of_standing_in(here)
    return {
        "schema": 1,
        "ok": not problems,
        "problems": problems,
        "notes": _notes(python, greenlets),
        "packages": packages,
        "asgiref": here,
        "python": python,
        "event_loop": _event_loop(),
        "greenlets": greenlets,
    }


def _package(name: str) -> dict[str, Any]:
    """One of the five: what its metadata says, and what is imported."""
    package: dict[str, Any] = {
        **_declared(name),
        "imported_version": None,
        "location": None,
        "import_error": None,
    }
    try:
        module = importlib.import_module(name.replace("-", "_"))
    # Whatever it is, telling it is what this is for.
    except Exception as error:
        package["import_error"] = f"{type(error).__name__}: {error}"
        return package
    package["imported_version"] = getattr(module, "__version__", None)
    package["location"] = os.path.dirname(module.__file__ or "") or None
    return package


def _declared(name: str) -> dict[str, Any]:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    version = None if found is None else _version_of(found)
    if found is None or version is None:
        return {"version": None, "requires": [], "requires_python": None, "python_fits": None}
    # Asked for what it does not have, the metadata warns, or gives None.
    has_range = "Requires-Python" in found.metadata
    python_range = found.metadata["Requires-Python"] if has_range else None
    return {
        "version": version,
        "requires": [_requirement(text) for text in found.requires or ()],
        "requires_python": python_range,
        "python_fits": is_within(platform.python_version(), python_range or ""),
    }


def _requirement(text: str) -> dict[str, Any]:
    installed = _version(project_of(text))
    fits = False if installed is None else satisfies(installed, text)
    return {"requirement": text, "installed": installed, "fits": fits}


def _problems_of(name: str, package: dict[str, Any]) -> list[str]:
    version, imported = package["version"], package["imported_version"]
    problems = []
    if package["import_error"] is not None:
        problems.append(f"{name} cannot be imported: {package['import_error']}")
    if version is None:
        problems.append(f"{name} is not installed: pip install asgi-meta")
    elif imported is not None and imported != version:
        problems.append(
            f"{name} {version} is installed, but what is imported from {package['location']} is"
            f" {imported}: install it again"
        )
    if package["python_fits"] is False:
        problems.append(
            f"{name} {version} is for Python {package['requires_python']},"
            f" and this is {platform.python_version()}"
        )
    for needed in package["requires"]:
        if needed["fits"] is False:
            has = needed["installed"] or "no such package"
            problems.append(
                f"{name} {version} needs {needed['requirement']}, and {has} is installed"
            )
    return problems


def _problems_of_standing_in(here: dict[str, Any]) -> list[str]:
    """What is in the way of these packages where they are to stand in for asgiref."""
    if here["wins"] != "asgi-meta":
        found = here["imported_from"]
        problem = f"but `import asgiref` finds {found}, which is earlier on sys.path"
        return [f"these packages are to stand in for asgiref, {problem}"]
    # What has been imported here says nothing of the programs that have yet to import it.
    spec = importlib.machinery.PathFinder.find_spec("asgiref")
    if spec is None or spec.origin is None or _is_ours(spec.origin):
        return []
    problem = f"find {spec.origin}, which is earlier on sys.path"
    return [f"the programs that this one starts here, in the place of these packages, {problem}"]


def _notes(python: dict[str, Any], greenlets: dict[str, Any]) -> list[str]:
    notes = []
    if greenlets["patched_by"] is not None:
        notes.append(
            f"{greenlets['patched_by']} has put greenlets in the place of threads: what is said"
            " about threads holds for greenlets then, and is tested for asgi-local alone"
        )
    if not python["gil_enabled"]:
        notes.append("this Python runs without a GIL, with which no release has been tested yet")
    return notes


def _asgiref_here() -> dict[str, Any]:
    """Whether asgiref is installed, and what `import asgiref` imports in this process."""
    installed = [
        distribution
        for distribution in importlib.metadata.distributions(name="asgiref")
        if not _asgiref.stands_in(str(distribution.locate_file("")))
    ]
    try:
        spec = importlib.util.find_spec("asgiref")
    except ValueError:
        # A module that somebody has put into `sys.modules` by hand.
        spec = None
    origin = None if spec is None else spec.origin
    if origin is None:
        wins = None
    elif _is_ours(origin):
        wins = "asgi-meta"
    else:
        wins = "asgiref"
    return {
        "installed": _version_of(installed[0]) if installed else None,
        "location": str(installed[0].locate_file("")) if installed else None,
        "wins": wins,
        "imported_from": origin,
    }


def _is_ours(origin: str) -> bool:
    return _asgiref.stands_in(os.path.dirname(os.path.dirname(origin)))


def _python() -> dict[str, Any]:
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)
    inherit = getattr(sys.flags, "thread_inherit_context", None)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": True if is_gil_enabled is None else is_gil_enabled(),
        "thread_inherit_context": None if inherit is None else bool(inherit),
    }


def _event_loop() -> dict[str, Any]:
    with warnings.catch_warnings():
        # Policies are deprecated; until they are gone, programs have them.
        warnings.simplefilter("ignore", DeprecationWarning)
        get_policy = getattr(asyncio, "get_event_loop_policy", None)
        policy = None if get_policy is None else _name_of(get_policy())
    loop = asyncio.new_event_loop()
    loop.close()
    return {"policy": policy, "loop": _name_of(loop), "uvloop": _version("uvloop")}


def _greenlets() -> dict[str, Any]:
    return {
        "greenlet": _version("greenlet"),
        "gevent": _version("gevent"),
        "eventlet": _version("eventlet"),
        "patched_by": _patched_by(),
    }


def _patched_by() -> str | None:
    # Only what is imported can have patched anything.
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def _version(distribution: str) -> str | None:
    try:
        return _version_of(importlib.metadata.distribution(distribution))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _version_of(found: importlib.metadata.Distribution) -> str | None:
    """None also where the metadata is damaged, as by an installation that was broken off."""
    try:
        metadata = found.metadata
    # Newer Pythons find that the file is missing; older ones take it for an empty one.
    except FileNotFoundError:
        return None
    # Asked for what it does not have, the metadata warns, or gives None.
    has_version = "Version" in metadata
    return metadata["Version"] if has_version else None


def _name_of(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
