"""The command line: arguments in, one clear line and a fitting exit status out.

Exit status: 0, all promises kept; 1, one was broken; 2, the demo cannot run here; 130, Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

# What takes time to import is imported by functions, so that Ctrl-C meanwhile gets its line, too.
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

# `python path/to/demo` puts this folder on the path, and not the one that has the package.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    try:
        return run(_parse(arguments))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left for another one to stop
        return _end("stopped by Ctrl-C", 130)


def run(options: Namespace) -> int:
    """Run the demo as the arguments say; return the exit status."""
    try:
        from demo import modes
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        return _end(f"{missing} is not installed; `hatch run demo` installs what it needs", 2)
    try:
        if not options.serve:
            return modes.demonstrate(options.port)
        modes.serve(options.port)
    except modes.CannotRunError as error:
        return _end(str(error), 2)
    return 0


def _parse(arguments: Sequence[str] | None) -> Namespace:
    import argparse

    parser = argparse.ArgumentParser(
        prog="hatch run demo",
        description="Sync and async code in one application, served and used on real sockets.",
    )
    parser.add_argument("--serve", action="store_true", help="keep serving, to try it by hand")
    parser.add_argument(
        "--port", type=_port, default=0, help="the port to serve on (default: one that is free)"
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    from argparse import ArgumentTypeError

    if not (text.isdecimal() and int(text) <= 65535):
        raise ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _end(line: str, status: int) -> int:
    print(f"demo: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
