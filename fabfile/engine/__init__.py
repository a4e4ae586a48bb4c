"""Read a server, compare, apply, read again."""
