"""`hatch run release`, `hatch run news` and their like: see CONTRIBUTING.md."""

import signal
import sys

from releasing.cli import main
from releasing.staging import STOPPING

if __name__ == "__main__":
    for number in STOPPING:
        # All end like Ctrl-C, so that no temporary clone is left; what `nohup` ignores stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        # A release must not fail for a character that the terminal does not have.
        stream.reconfigure(errors="replace")
    sys.exit(main())
