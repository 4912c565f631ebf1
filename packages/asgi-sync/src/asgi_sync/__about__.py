"""The version of asgi-sync, read by its build and by `asgi_sync.__version__`."""

__version__ = "0.1.1"
