"""The command line: which command, and what each is for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: python -m asgi_meta COMMAND ...

  run (-m module | -c command | script) [argument ...]
            run a Python program with these packages in the place of asgiref
  doctor [--json]
            say which versions there are, and whether they fit together

python -m asgi_meta COMMAND --help says more.
"""


def main(arguments: Sequence[str]) -> None:
    """Do what the arguments say; ends by SystemExit unless all went well."""
    command, *rest = arguments or ("",)
    # Each in a module of its own: `run` is to import as little as it can.
    if command == "run":
        from asgi_meta import _run

        _run.run(rest)
    elif command == "doctor":
        from asgi_meta import _doctor

        sys.exit(_doctor.main(rest))
    elif command in ("-h", "--help"):
        print(USAGE, end="")
    else:
        print(f"{USAGE}asgi_meta: expected a command, got {command!r}", file=sys.stderr)
        sys.exit(2)
