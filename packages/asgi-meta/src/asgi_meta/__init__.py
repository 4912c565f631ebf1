"""asgi-sync, asgi-local, asgi-server and asgi-wsgi in one: the public names of asgiref 3.13.

They, `ApplicationCancelledError`, which the communicator raises, and all of `asgi_server.typing`
are found here and in the submodules `sync`, `local`, `server`, `wsgi`, `testing`, `typing`,
`timeout`, `compatibility` and `current_thread_executor`, and are the very objects of the four
packages. What else a package offers is found in that package. A submodule is imported when
something of it is first used.
(`asgi_meta.timeout` is the submodule; the class in it has the same name.)

`install_as_asgiref` puts them in the place of asgiref, as `python -m asgi_meta run` does for a
whole program; `python -m asgi_meta doctor` says whether everything is in order.
"""

import importlib
from typing import TYPE_CHECKING, Any

from asgi_meta.__about__ import __version__

if TYPE_CHECKING:
    from asgi_meta import timeout as timeout
    from asgi_meta._asgiref import install_as_asgiref as install_as_asgiref
    from asgi_meta._asgiref import uninstall_as_asgiref as uninstall_as_asgiref
    from asgi_meta.compatibility import *
    from asgi_meta.current_thread_executor import *
    from asgi_meta.local import *
    from asgi_meta.server import *
    from asgi_meta.sync import *
    from asgi_meta.testing import *
    from asgi_meta.typing import *
    from asgi_meta.wsgi import *

# What each submodule offers here, besides itself.
_OFFERS: dict[str, tuple[str, ...]] = {
    "compatibility": (
        "double_to_single_callable",
        "guarantee_single_callable",
        "is_double_callable",
    ),
    "current_thread_executor": ("CurrentThreadExecutor",),
    "local": ("Local",),
    "server": ("StatelessServer",),
    "sync": (
        "AsyncSingleThreadContext",
        "AsyncToSync",
        "SyncToAsync",
        "ThreadSensitiveContext",
        "async_to_sync",
        "iscoroutinefunction",
        "markcoroutinefunction",
        "sync_to_async",
    ),
    "testing": (
        "ApplicationCancelledError",
        "ApplicationCommunicator",
    ),
    "timeout": (),
    "typing": (
        "ASGI2Application",
        "ASGI2Protocol",
        "ASGI3Application",
        "ASGIApplication",
        "ASGIReceiveCallable",
        "ASGIReceiveEvent",
        "ASGISendCallable",
        "ASGISendEvent",
        "ASGIVersions",
        "HTTPDisconnectEvent",
        "HTTPMessageToApplication",
        "HTTPMessageToServer",
        "HTTPRequestEvent",
        "HTTPResponseBodyEvent",
        "HTTPResponseDebugEvent",
        "HTTPResponseEarlyHintEvent",
        "HTTPResponsePathsendEvent",
        "HTTPResponseStartEvent",
        "HTTPResponseTrailersEvent",
        "HTTPResponseZeroCopySendEvent",
        "HTTPScope",
        "HTTPServerPushEvent",
        "LifespanMessageToApplication",
        "LifespanMessageToServer",
        "LifespanScope",
        "LifespanShutdownCompleteEvent",
        "LifespanShutdownEvent",
        "LifespanShutdownFailedEvent",
        "LifespanStartupCompleteEvent",
        "LifespanStartupEvent",
        "LifespanStartupFailedEvent",
        "ReceiveCallable",
        "Scope",
        "SendCallable",
        "SupportsFileno",
        "TLSExtension",
        "WWWScope",
        "WebSocketAcceptEvent",
        "WebSocketCloseEvent",
        "WebSocketConnectEvent",
        "WebSocketDenialEvent",
        "WebSocketDisconnectEvent",
        "WebSocketMessageToApplication",
        "WebSocketMessageToServer",
        "WebSocketReceiveBytesEvent",
        "WebSocketReceiveEvent",
        "WebSocketReceiveTextEvent",
        "WebSocketResponseBodyEvent",
        "WebSocketResponseStartEvent",
        "WebSocketScope",
        "WebSocketSendBytesEvent",
        "WebSocketSendEvent",
        "WebSocketSendTextEvent",
    ),
    "wsgi": (
        "WsgiToAsgi",
        "WsgiToAsgiInstance",
    ),
}
_SUBMODULE_OF = {
    "install_as_asgiref": "_asgiref",
    "uninstall_as_asgiref": "_asgiref",
    **{name: submodule for submodule, names in _OFFERS.items() for name in names},
}

__all__ = ["__version__", *_OFFERS, *_SUBMODULE_OF]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _OFFERS:
        return importlib.import_module(f"asgi_meta.{name}")
    if name not in _SUBMODULE_OF:
        raise AttributeError(f"module 'asgi_meta' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"asgi_meta.{_SUBMODULE_OF[name]}"), name)
    # Found without this function from now on.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
