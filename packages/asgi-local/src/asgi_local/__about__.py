"""The version of asgi-local, read by its build and by `asgi_local.__version__`."""

__version__ = "0.1.0"
