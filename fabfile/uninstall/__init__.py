"""What leaves a server."""
