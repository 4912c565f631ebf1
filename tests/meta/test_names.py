"""What asgi_meta offers, and that it is the very objects of the four packages."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import asgi_meta

SUBMODULES = {
    "compatibility": "asgi_server.compatibility",
    "current_thread_executor": "asgi_sync.current_thread_executor",
    "local": "asgi_local",
    "server": "asgi_server",
    "sync": "asgi_sync",
    "testing": "asgi_server.testing",
    "timeout": "asgi_server.timeout",
    "typing": "asgi_server.typing",
    "wsgi": "asgi_wsgi",
}

# The public names of asgiref 3.13, by submodule, without those of its typing module.
OF_ASGIREF = {
    "compatibility": "double_to_single_callable guarantee_single_callable is_double_callable",
    "current_thread_executor": "CurrentThreadExecutor",
    "local": "Local",
    "server": "StatelessServer",
    "sync": "AsyncSingleThreadContext AsyncToSync SyncToAsync ThreadSensitiveContext async_to_sync"
    " iscoroutinefunction markcoroutinefunction sync_to_async",
    "testing": "ApplicationCommunicator",
    "timeout": "timeout",
    "typing": "ASGIVersions HTTPScope WebSocketScope LifespanScope WWWScope Scope HTTPRequestEvent"
    " HTTPResponseStartEvent HTTPResponseBodyEvent HTTPResponseTrailersEvent"
    " HTTPResponsePathsendEvent HTTPServerPushEvent HTTPDisconnectEvent WebSocketConnectEvent"
    " WebSocketAcceptEvent WebSocketReceiveEvent WebSocketSendEvent WebSocketResponseStartEvent"
    " WebSocketResponseBodyEvent WebSocketDisconnectEvent WebSocketCloseEvent LifespanStartupEvent"
    " LifespanShutdownEvent LifespanStartupCompleteEvent LifespanStartupFailedEvent"
    " LifespanShutdownCompleteEvent LifespanShutdownFailedEvent ASGIReceiveEvent ASGISendEvent"
    " ASGIReceiveCallable ASGISendCallable ASGI2Protocol ASGI2Application ASGI3Application"
    " ASGIApplication",
    "wsgi": "WsgiToAsgi WsgiToAsgiInstance",
}
NAMES = [(submodule, name) for submodule, names in OF_ASGIREF.items() for name in names.split()]


@pytest.mark.parametrize(("submodule", "name"), NAMES)
def test_a_name_of_asgiref_is_found_in_the_submodule_and_is_the_packages_own(
    submodule: str, name: str
) -> None:
    ours = getattr(importlib.import_module(f"asgi_meta.{submodule}"), name)
    assert ours is getattr(importlib.import_module(SUBMODULES[submodule]), name)


@pytest.mark.parametrize(("submodule", "name"), [pair for pair in NAMES if pair[0] != pair[1]])
def test_a_name_of_asgiref_is_found_at_the_top(submodule: str, name: str) -> None:
    assert getattr(asgi_meta, name) is getattr(
        importlib.import_module(f"asgi_meta.{submodule}"), name
    )


@pytest.mark.parametrize("submodule", SUBMODULES)
def test_a_submodule_is_found_at_the_top(submodule: str) -> None:
    assert isinstance(getattr(asgi_meta, submodule), ModuleType)


@pytest.mark.parametrize("submodule", SUBMODULES)
def test_everything_that_a_submodule_offers_is_found_at_the_top(submodule: str) -> None:
    offered = importlib.import_module(f"asgi_meta.{submodule}").__all__
    assert set(offered) <= set(asgi_meta.__all__)


def test_the_error_of_the_communicator_is_found_beside_it() -> None:
    theirs = importlib.import_module("asgi_server.testing").ApplicationCancelledError
    assert asgi_meta.testing.ApplicationCancelledError is theirs
    assert asgi_meta.ApplicationCancelledError is theirs


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'asgi_meta' has no attribute 'missing'"):
        _ = asgi_meta.missing


def test_everything_is_listed() -> None:
    assert set(asgi_meta.__all__) <= set(dir(asgi_meta))


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split() if name.startswith("asgi_")}


def test_importing_it_imports_none_of_the_packages() -> None:
    assert imported_by("import asgi_meta") == {"asgi_meta"}


def test_using_a_name_imports_its_package_only() -> None:
    assert imported_by("from asgi_meta import async_to_sync") == {"asgi_meta", "asgi_sync"}
    assert imported_by("import asgi_meta; asgi_meta.testing") == {"asgi_meta", "asgi_server"}
