"""Status and headers of a response, from `start_response` to ASGI: pure functions."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple
from wsgiref.util import is_hop_by_hop

_STATUS = re.compile(r"([1-9][0-9]{2}) ")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: token
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # the tab is allowed in a value


class Head(NamedTuple):
    """A status and its headers, checked and encoded."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content_length: int | None

    @property
    def allows_body(self) -> bool:
        """Whether a response with this status may have content (RFC 9110, 6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)


NO_HEAD = Head(0, [], None)


def parse_head(status: str, headers: Iterable[tuple[str, str]]) -> Head:
    """Return status and headers as ASGI sends them.

    Raises:
        TypeError: One of them is not made of str.
        ValueError: One of them cannot be sent.
    """
    encoded = [_encoded_header(name, value) for name, value in headers]
    lengths = [header for header in encoded if header[0] == b"content-length"]
    head = Head(_status_code(status), encoded, _content_length(lengths))
    if not lengths or (len(lengths) == 1 and head.allows_body):
        return head
    others = [header for header in encoded if header[0] != b"content-length"]
    if head.allows_body:
        # RFC 9110, 8.6: the same number twice is to be made one; clients may refuse it.
        return Head(head.status, [*others, lengths[0]], head.content_length)
    # The same: must not be sent with 1xx and 204, need not be with 304. Some servers take it
    # for the length of what they are still to be given.
    return Head(head.status, others, None)


def _status_code(status: object) -> int:
    if not isinstance(status, str):
        raise TypeError(f"status must be a str such as '200 OK', not {status!r}")
    return _parsed_status(status)


# An application has few, and sends them again with every response; so with names of headers.
@functools.lru_cache(maxsize=64)
def _parsed_status(status: str) -> int:
    match = _STATUS.match(status)
    if match is None:
        raise ValueError(
            f"status must be three digits, a space and a reason, such as '200 OK', not {status!r}"
        )
    return int(match[1])


def _encoded_header(name: object, value: object) -> tuple[bytes, bytes]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"a response header must be a pair of str, not ({name!r}, {value!r})")
    encoded_name = _encoded_name(name)
    if not value.isprintable() and _CONTROL_CHARACTER.search(value) is not None:
        raise ValueError(f"response header {name!r} has a control character in {value!r}")
    try:
        # RFC 9110, 5.5: spaces around it are none of the value; some servers refuse to send them.
        return encoded_name, value.strip(" \t").encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"response header {name!r} has a character outside latin-1 in {value!r}: encode the"
            " value first, as its header defines (percent-encoding, RFC 2047 and the like)"
        ) from None


@functools.lru_cache(maxsize=256)
def _encoded_name(name: str) -> bytes:
    if _FIELD_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a valid name of a response header")
    if is_hop_by_hop(name):
        raise ValueError(
            f"{name!r} is a hop-by-hop header: it is about the connection, which belongs to the"
            " server; leave it out"
        )
    return name.lower().encode("latin-1")


def _content_length(lengths: list[tuple[bytes, bytes]]) -> int | None:
    values = {value for _, value in lengths}
    if not values:
        return None
    first, *others = values
    if others or not first.isdigit():
        given = " and ".join(repr(value.decode("latin-1")) for value in sorted(values))
        raise ValueError(f"Content-Length must be one number of bytes, not {given}")
    return int(first)
