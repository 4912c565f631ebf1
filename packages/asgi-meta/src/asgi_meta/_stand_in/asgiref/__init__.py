"""`asgiref`, where asgi-meta stands in for it: its submodules are those of `asgi_meta`.

Imported in place of asgiref by whoever has the folder around this one on `sys.path`; see
`asgi_meta._asgiref`, which puts it there.
"""

import importlib
import os
import sys

__version__ = "3.13.0"

try:
    from asgi_meta import _asgiref
except ModuleNotFoundError as error:
    if error.name not in ("asgi_meta", "asgi_meta._asgiref"):
        raise
    _asgiref = None  # type: ignore[assignment]

if _asgiref is not None:
    _asgiref.adopt(sys.modules[__name__])
else:
    # PYTHONPATH has brought this folder to the Python of another environment, which has
    # nothing to put in asgiref's place: its own asgiref is what it gets, or none.
    _folder = os.path.dirname(os.path.dirname(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != _folder]
    del sys.modules[__name__]
    importlib.import_module(__name__)


def __getattr__(name):  # type: ignore[no-untyped-def]
    if name in _asgiref.SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
