"""The one way to speak to a server."""
