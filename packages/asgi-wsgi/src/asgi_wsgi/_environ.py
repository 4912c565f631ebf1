"""From an ASGI HTTP scope to a WSGI environ: pure functions.

The rules that they keep:

- Every CGI variable is a "native string" of PEP 3333: a `str` with one character for each byte
  of what the client sent (latin-1). The scope has its text decoded from UTF-8, so text goes back
  to its bytes first.
- Nothing that a client sends can set a variable other than `CONTENT_TYPE`, `CONTENT_LENGTH`
  and `HTTP_*`, nor let one header pass for another.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any, TypeAlias
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from asgi_wsgi._errors import TooManyDuplicateHeadersError
from asgi_wsgi._files import FileWrapper

# Wider than the TypedDicts of any one library, so that the scopes of all servers and frameworks
# pass a type checker.
Scope: TypeAlias = Mapping[str, Any]

_DEFAULT_PORTS = {"http": "80", "https": "443"}
# The characters of RFC 3986 "pchar" and "/" that quote() would escape: a client sends them as is.
_UNESCAPED_IN_PATH = "/:@!$&'()*+,;="
# The two headers that CGI names without HTTP_.
_CONTENT_VARIABLES = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
# No name in use is longer; with the number of names that are kept, some 250 KB.
_LONGEST_KNOWN = 64


def with_kept_headers(scope: Scope) -> Scope:
    """Return a scope like this one, whose headers can be looked at again and again.

    The specification has any iterable there, and middleware that leaves some out may well put a
    generator there, which gives them once.
    """
    headers = scope.get("headers", ())
    return scope if isinstance(headers, (list, tuple)) else {**scope, "headers": list(headers)}


def build_environ(
    scope: Scope,
    body: IO[bytes] | None,
    duplicate_header_limit: int | None,
    *,
    keep_underscores: bool = False,
) -> WSGIEnvironment:
    """Return the environ for one HTTP scope.

    Args:
        scope: An HTTP connection scope.
        body: What the application reads as `wsgi.input`.
        duplicate_header_limit: How often one header may come; 0 or None for any number.
        keep_underscores: Whether to keep headers with an underscore in their name.

    Raises:
        TooManyDuplicateHeadersError: A header came more often than that.
        UnicodeEncodeError: A text of the scope has a surrogate that stands for no byte.

    Source: PEP 3333, "environ Variables"; ASGI HTTP specification, "WSGI Compatibility".
    """
    scheme = scope.get("scheme", "http")
    query = scope.get("query_string", b"").decode("latin-1")
    script_name, path_info = split_path(scope.get("root_path", ""), scope["path"])
    target = request_target(scope.get("raw_path"), script_name + path_info, query)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": _native(scope["method"]),
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": "HTTP/" + _native(scope.get("http_version", "1.1")),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": body,
        # The body ends where the stream ends, also without a Content-Length (a chunked upload).
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        # Nothing in a scope tells how many processes the server has. An application that is told
        # of others that do not exist is only careful; one that is not told would trust its memory.
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "asgi.scope": scope,
    }
    if scheme == "https":
        environ["HTTPS"] = "on"
    environ |= server_variables(scope.get("server"), scheme)
    environ |= client_variables(scope.get("client"))
    headers = scope.get("headers", ())
    environ |= header_variables(headers, duplicate_header_limit, keep_underscores)
    return environ


def split_path(root_path: str, path: str) -> tuple[str, str]:
    """Return `SCRIPT_NAME` and `PATH_INFO` for a scope's root_path and path.

    Servers differ: the ASGI specification has `path` include `root_path`, some leave it out.
    Where the path begins with root_path, whole segments only, it is taken to include it: below
    `/app`, `/app/x` is `/x`, and `/apple` is a path that never had the prefix.
    """
    if not root_path:
        return "", _native(path)
    root = root_path.rstrip("/")
    if path == root or path.startswith(root + "/"):
        path = path[len(root) :]
    return _native(root), _native(path)


def request_target(raw_path: bytes | None, decoded_path: str, query: str) -> str:
    """Return path and query as the client sent them, or as it may have where raw_path is missing.

    `decoded_path` is a native string. The fallback cannot know which characters the client
    escaped: `%2F` and `/` look alike in it.
    """
    if raw_path is None:
        path = quote(decoded_path.encode("latin-1"), safe=_UNESCAPED_IN_PATH)
    else:
        # Some test clients leave the query in raw_path (encode/httpx#2810).
        path = raw_path.partition(b"?")[0].decode("latin-1")
    return f"{path}?{query}" if query else path


def server_variables(server: Iterable[Any] | None, scheme: str) -> dict[str, str]:
    """Return `SERVER_NAME` and `SERVER_PORT`, which PEP 3333 wants never to be empty.

    A server that listens on a unix socket has a path and no port: neither could stand in a URL.
    """
    name, port = server or (None, None)
    if port is None:
        name, port = None, _DEFAULT_PORTS.get(scheme, "80")
    return {"SERVER_NAME": _native(name or "localhost"), "SERVER_PORT": str(port)}


def client_variables(client: Iterable[Any] | None) -> dict[str, str]:
    """Return `REMOTE_ADDR` and `REMOTE_PORT`, as far as the server knows them."""
    if client is None:
        return {}
    address, port = client
    variables = {"REMOTE_ADDR": _native(address or "")}
    if port is not None:
        variables["REMOTE_PORT"] = str(port)
    return variables


def header_variables(
    headers: Iterable[Iterable[bytes]],
    duplicate_limit: int | None,
    keep_underscores: bool = False,
) -> dict[str, str]:
    """Return one variable for each request header, the values of a repeated one joined.

    Raises:
        TooManyDuplicateHeadersError: A header came more often than `duplicate_limit`.
    """
    variables: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name, value in headers:
        # X_User would become the same variable as X-User, past a proxy that filters only the
        # latter: nginx and others drop such names for the same reason.
        if b"_" in name and not keep_underscores:
            continue
        # What a client makes up must not stay: a name may be as long as a request's headers.
        variable = (_known_variable if len(name) <= _LONGEST_KNOWN else _header_variable)(name)
        text = value.decode("latin-1")
        if variable not in variables:
            variables[variable] = text
            continue
        same = repeated.setdefault(variable, [variables[variable]])
        same.append(text)
        if duplicate_limit and len(same) > duplicate_limit:
            raise TooManyDuplicateHeadersError(
                f"Too many duplicate headers: {variable} exceeds limit of {duplicate_limit}"
            )
    for variable, same in repeated.items():
        variables[variable] = _separator(variable).join(same)
    if "HTTP_TRANSFER_ENCODING" in variables:
        # RFC 9112, 6.3: the length does not count. Who trusts it reads another body than others.
        variables.pop("CONTENT_LENGTH", None)
    return variables


def _header_variable(name: bytes) -> str:
    # Upper-cased as bytes: str.upper() turns some latin-1 letters into two, or into others
    # outside latin-1.
    variable = name.upper().replace(b"-", b"_").decode("latin-1")
    return variable if variable in _CONTENT_VARIABLES else "HTTP_" + variable


# Clients send the same few names again and again. What they can make up pushes out others, no more.
_known_variable = functools.lru_cache(maxsize=1024)(_header_variable)


def _separator(variable: str) -> str:
    # RFC 9113, 8.2.3: HTTP/2 may split the cookies over several headers; a comma would be read
    # as part of a value. All others are lists (RFC 9110, 5.3).
    return "; " if variable == "HTTP_COOKIE" else ","


def _native(text: str) -> str:
    if text.isascii():
        return text
    # surrogateescape gives back the bytes that a server could not decode.
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
