"""The WSGI adapter, from asgi-wsgi."""

from asgi_wsgi import WsgiToAsgi, WsgiToAsgiInstance

__all__ = ["WsgiToAsgi", "WsgiToAsgiInstance"]
