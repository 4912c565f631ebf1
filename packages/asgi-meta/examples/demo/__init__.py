"""A server and its client: sync and async code in one application, on real sockets.

Run it with `hatch run demo`, or `hatch run demo --serve`, from the root of the repository.
Each module stands alone as an example:

- `application` the ASGI application: middleware, routing, and what lives as long as the server
- `notes` async code that uses SQLite, whose connections are bound to one thread
- `flask_site` a Flask site whose views call async code, and whose responses stream
- `chat_server` one running application for each sender of UDP datagrams
- `trail` what belongs to one request, on both sides of every crossing
- `web` the little of HTTP over ASGI that the above need
- `serving` uvicorn in a thread of this process, on a port that is free

and on the other side of the sockets:

- `drive` the client: goes through all that it asks for
- `crossings` which code ran in which thread, for which request
- `bodies` what is sent and read in pieces: an upload, and a response that streams
- `failures` requests that fail, and what is told of them
- `conversations` what two clients say by datagrams, and hear
- `visit` a request, and the answer with its trail
- `chat_client` a sender of UDP datagrams
- `modes` puts both together, or only serves
- `interrupts` what Ctrl-C does
- `account` the printed account, and the checks
"""
