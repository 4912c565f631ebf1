"""Serve a WSGI application from any ASGI server.

The public names are those in `__all__`; modules with a leading underscore may change in any
release.
"""

from asgi_wsgi.__about__ import __version__
from asgi_wsgi._adapter import WsgiToAsgi, WsgiToAsgiInstance

__all__ = ["WsgiToAsgi", "WsgiToAsgiInstance", "__version__"]
