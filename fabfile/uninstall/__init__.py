"""The removal of the project from a server."""
