"""The report of `doctor`, for people to read: pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WINS = {
    "asgi-meta": "these packages, standing in for asgiref",
    "asgiref": "asgiref itself; `python -m asgi_meta run` puts these packages in its place",
    None: "nothing; `python -m asgi_meta run` puts these packages in its place",
}


def as_text(report: dict[str, Any]) -> str:
    """The report in lines, the problems last, where they are seen."""
    lines = [
        *_packages(report["packages"]),
        "",
        *_asgiref(report["asgiref"]),
        "",
        *_surroundings(report),
        "",
        *(f"note: {note}" for note in report["notes"]),
        *(f"wrong: {problem}" for problem in report["problems"]),
    ]
    if report["ok"]:
        lines.append("nothing is wrong")
    return "\n".join(lines)


def _packages(packages: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, package in packages.items():
        yield _line(name, package["version"] or "not installed", package["location"] or "")
        for needed in package["requires"]:
            yield _line("", f"needs {needed['requirement']}", _verdict(needed["fits"]))


def _verdict(fits: bool | None) -> str:
    return {True: "fits", False: "does not fit", None: "unknown whether it fits"}[fits]


def _asgiref(asgiref: dict[str, Any]) -> Iterator[str]:
    yield _line("asgiref", asgiref["installed"] or "not installed", asgiref["location"] or "")
    yield _line("import asgiref", f"finds {_WINS[asgiref['wins']]}")


def _surroundings(report: dict[str, Any]) -> Iterator[str]:
    python, loop, greenlets = report["python"], report["event_loop"], report["greenlets"]
    yield _line("Python", f"{python['implementation']} {python['version']}", python["executable"])
    build = "free-threaded build" if python["free_threaded_build"] else "build with a GIL"
    yield _line("GIL", "enabled" if python["gil_enabled"] else "not enabled", build)
    if python["thread_inherit_context"] is not None:
        inherit = "yes" if python["thread_inherit_context"] else "no"
        yield _line("threads inherit", inherit, "the context of the thread that starts them")
    yield _line("event loop", loop["loop"], f"policy {loop['policy']}" if loop["policy"] else "")
    yield _line("uvloop", loop["uvloop"] or "not installed")
    for name in ("greenlet", "gevent", "eventlet"):
        if greenlets[name] is not None:
            has_patched = "has patched threads" if greenlets["patched_by"] == name else ""
            yield _line(name, greenlets[name], has_patched)


def _line(name: str, what: str, more: str = "") -> str:
    return f"{name:<16}{what:<32}  {more}".rstrip()
