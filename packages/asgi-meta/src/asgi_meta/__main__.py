"""`python -m asgi_meta run` and `python -m asgi_meta doctor`."""

import sys

from asgi_meta._command_line import main

__all__ = ["main"]

if __name__ == "__main__":
    main(sys.argv[1:])
