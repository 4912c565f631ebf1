"""A threading.local for threads and tasks that follows code across the sync/async bridge."""

from asgi_local.__about__ import __version__
from asgi_local._local import Local, Schema

__all__ = ["Local", "Schema", "__version__"]
