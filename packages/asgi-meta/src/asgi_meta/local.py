"""`Local`, from asgi-local."""

from asgi_local import Local

__all__ = ["Local"]
