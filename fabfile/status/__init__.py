"""How a server is."""
