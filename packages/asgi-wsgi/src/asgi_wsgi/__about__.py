"""The version of asgi-wsgi, read by its build and by `asgi_wsgi.__version__`."""

__version__ = "0.1.0"
