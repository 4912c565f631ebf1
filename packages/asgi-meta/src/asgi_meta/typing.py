"""The ASGI types, from asgi-server."""

from asgi_server.typing import *
from asgi_server.typing import __all__ as __all__
