"""Single- and double-callable applications, from asgi-server."""

from asgi_server.compatibility import (
    double_to_single_callable,
    guarantee_single_callable,
    is_double_callable,
)

__all__ = ["double_to_single_callable", "guarantee_single_callable", "is_double_callable"]
