"""The version of asgi-server, read by its build and by `asgi_server.__version__`."""

__version__ = "0.1.0"
