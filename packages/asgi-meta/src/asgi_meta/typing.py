"""The ASGI types, from asgi-server."""

from asgi_server.typing import *  # noqa: F403
from asgi_server.typing import __all__ as __all__
