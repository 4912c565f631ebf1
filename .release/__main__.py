"""`hatch run release`, `hatch run news` and their like: see CONTRIBUTING.md."""

import signal
import sys

from releasing.cli import main

if __name__ == "__main__":
    # Ends like Ctrl-C, so that no temporary clone is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
