"""Read a server, compare it with the desired state, apply the changes, and read again."""
