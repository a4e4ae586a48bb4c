"""SSH: the only way to a server."""
