"""A chat over UDP: rooms, one process, a server and a client."""
