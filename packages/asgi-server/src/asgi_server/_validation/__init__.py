"""The rules of ASGI, protocol by protocol, as tables, and the pure code that applies them.

`violations` says what a finding is, `checks` and `forms` how values, scopes and messages look,
`conversation` in which order messages come; `http`, `websocket`, `lifespan` and `scopes` are
the tables. Nothing here awaits, does I/O, or knows an event loop.
"""
