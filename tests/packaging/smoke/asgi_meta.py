"""asgi-meta with all four: its names are the very objects, and it stands in for asgiref."""

import asyncio
import importlib
import importlib.metadata
import importlib.util

import asgi_meta

# Each submodule, and the module whose names it gives.
SOURCES = {
    "sync": "asgi_sync",
    "local": "asgi_local",
    "server": "asgi_server",
    "wsgi": "asgi_wsgi",
    "testing": "asgi_server.testing",
    "typing": "asgi_server.typing",
    "timeout": "asgi_server.timeout",
    "compatibility": "asgi_server.compatibility",
    "current_thread_executor": "asgi_sync.current_thread_executor",
}
TOP_LEVEL = {
    "asgi_sync": [
        "AsyncSingleThreadContext",
        "AsyncToSync",
        "CurrentThreadExecutor",
        "SyncToAsync",
        "ThreadSensitiveContext",
        "async_to_sync",
        "iscoroutinefunction",
        "markcoroutinefunction",
        "sync_to_async",
    ],
    "asgi_local": ["Local"],
    "asgi_server": ["StatelessServer"],
    "asgi_server.testing": ["ApplicationCommunicator"],
    "asgi_wsgi": ["WsgiToAsgi", "WsgiToAsgiInstance"],
}


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"asgi_meta: {what}")


def check_names() -> None:
    for name in asgi_meta.__all__:
        check(hasattr(asgi_meta, name), f"asgi_meta.{name} does not exist")


def check_submodules() -> None:
    for submodule, source_name in SOURCES.items():
        module = importlib.import_module(f"asgi_meta.{submodule}")
        source = importlib.import_module(source_name)
        check(len(module.__all__) > 0, f"asgi_meta.{submodule} has no names")
        for name in module.__all__:
            same = getattr(module, name) is getattr(source, name)
            check(same, f"asgi_meta.{submodule}.{name} is another object")


def check_top_level() -> None:
    for source_name, names in TOP_LEVEL.items():
        source = importlib.import_module(source_name)
        for name in names:
            check(name in asgi_meta.__all__, f"asgi_meta.{name} is not public")
            same = getattr(asgi_meta, name) is getattr(source, name)
            check(same, f"asgi_meta.{name} is another object")


def hello(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


def check_it_stands_in() -> None:
    asgi_meta.install_as_asgiref()
    asgiref = importlib.import_module("asgiref")
    check(asgiref.sync is asgi_meta.sync, f"asgiref.sync is {asgiref.sync}")
    version = importlib.metadata.version("asgiref")
    check(version == asgiref.__version__, f"the metadata of asgiref has version {version}")
    asgi_meta.uninstall_as_asgiref()
    check(importlib.util.find_spec("asgiref") is None, "there still is an asgiref")


async def check_all_work_together() -> None:
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": []}
    application = asgi_meta.WsgiToAsgi(hello)
    communicator = asgi_meta.testing.ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(timeout=1)
    body = await communicator.receive_output(timeout=1)
    check((start["status"], body["body"]) == (200, b"/x"), f"a response of {start} and {body}")
    await communicator.wait(timeout=1)

    local = asgi_meta.Local()
    local.answer = 42
    doubled = await asgi_meta.sync_to_async(lambda: local.answer * 2)()
    check(doubled == 84, "a Local did not follow sync_to_async")


if __name__ == "__main__":
    check_names()
    check_submodules()
    check_top_level()
    check_it_stands_in()
    asyncio.run(check_all_work_together())
