"""The errors of the adapter that an application or a maintainer may meet."""

from __future__ import annotations


class ClientDisconnectedError(ConnectionError):
    """The request is over: nothing can be read from it or sent to it any more.

    Its client has gone, its task was cancelled, or its event loop has stopped. An `OSError`, as
    from the sockets that WSGI servers use, so that an application which copes with broken
    connections copes with this one.
    """


class TooManyDuplicateHeadersError(ValueError):
    """A request header came more often than the adapter allows.

    A type of its own, so that no other `ValueError` is answered as if it were this one.
    """


def comes_of_disconnect(error: BaseException) -> bool:
    """Whether `error` is a `ClientDisconnectedError`, or was raised because of one.

    Frameworks wrap it: Django's `UnreadablePostError`, for instance.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, ClientDisconnectedError):
            return True
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False
