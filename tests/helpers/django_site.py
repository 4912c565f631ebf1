"""A Django site behind the adapter, in a process of its own: its settings are global.

    python -m helpers.django_site "uvicorn httptools"

Prints the address, then a line for each request that has finished. Ends with its standard input.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from helpers.asgi_servers import SERVER_KINDS
from helpers.served import serving
from helpers.server_threads import PATIENCE

MEMORY_LIMIT = 64 * 1024

may_go_on = threading.Event()
current = threading.local()


def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for block in file.chunks():
        digest.update(block)
    found = {"title": request.POST["title"], "kind": type(file).__name__}
    return JsonResponse({**found, "size": file.size, "digest": digest.hexdigest()})


def body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(hashlib.sha256(request.body).hexdigest())


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def generate() -> Iterator[bytes]:
        yield b"first\n"
        assert may_go_on.wait(PATIENCE)
        yield b"second\n"

    return StreamingHttpResponse(generate())


def forever(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(lambda: bytes(10_000), None))


def go_on(request: HttpRequest) -> HttpResponse:
    may_go_on.set()
    return HttpResponse("gone on")


def own_source(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("the view failed")


VIEWS = [upload, body, stream, forever, go_on, own_source, broken]
urlpatterns = [path(view.__name__, view) for view in VIEWS]


def remember_path(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        current.path = request.path
        return get_response(request)

    return middleware


def print_finished(**signal: Any) -> None:
    """The line goes out in one piece; the path is the one of this thread's last request."""
    sys.stdout.write(f"finished {current.path}\n")
    sys.stdout.flush()


def main(kind: str) -> None:
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        FILE_UPLOAD_MAX_MEMORY_SIZE=MEMORY_LIMIT,
        LOGGING_CONFIG=None,
        MIDDLEWARE=[f"{__name__}.remember_path"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests",
    )
    django.setup()
    request_finished.connect(print_finished)
    application = get_wsgi_application()
    (server_kind,) = (known for known in SERVER_KINDS if known.name == kind)
    with serving(server_kind) as served:
        served.serve(application)
        print(served.client.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    # Under its own name: the settings refer to this module.
    from helpers import django_site

    django_site.main(sys.argv[1])
