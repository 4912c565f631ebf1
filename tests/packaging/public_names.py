"""Prints the public names of every public module as JSON.

Run it from the repository root:
    hatch run python tests/packaging/public_names.py > tests/packaging/public_names.json
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

PACKAGES = Path(__file__).parents[2] / "packages"


def public_modules() -> list[str]:
    files = PACKAGES.glob("*/src/*/*.py")
    paths = [path.parent if path.stem == "__init__" else path.with_suffix("") for path in files]
    names = [
        ".".join(path.relative_to(path.parents[0 if path.is_dir() else 1]).parts) for path in paths
    ]
    return sorted(name for name in names if "._" not in name)


if __name__ == "__main__":
    names = {name: sorted(importlib.import_module(name).__all__) for name in public_modules()}
    print(json.dumps(names, indent=4))
