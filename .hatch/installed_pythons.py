"""Lets `hatch test --all` and `hatch run bench:run` skip Pythons that are not installed.

Hatch counts a Python that it could download as present, whatever `python-sources`
says, and then fails to create that environment. Here the version that such an
environment asks for is made unsatisfiable, so that hatch's own check reports and
skips it. Interpreters are looked up with the library that hatch itself uses.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from hatch.env.collectors.plugin.interface import EnvironmentCollectorInterface
from python_discovery import get_interpreter


class InstalledPythons(EnvironmentCollectorInterface):
    def finalize_environments(self, config: dict[str, dict[str, Any]]) -> None:
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        for environment in config.values():
            version = environment.get("python", "")
            if (
                version
                and version != running
                and get_interpreter(version, (), env=os.environ) is None
            ):
                environment["python"] = f"{version} (not installed)"
