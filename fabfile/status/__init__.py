"""Show the state of a server."""
