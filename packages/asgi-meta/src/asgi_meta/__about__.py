"""The version of asgi-meta, read by its build and by `asgi_meta.__version__`."""

__version__ = "0.1.1"
