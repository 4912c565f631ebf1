"""ASGI applications fed from Redis Streams by any number of worker processes: see README.md."""
