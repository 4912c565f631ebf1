"""What `asgi_server.testing` offers, one module for each thing."""
