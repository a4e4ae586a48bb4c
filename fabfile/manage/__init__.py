"""Tasks for a server in use."""
