"""Find the causes of trouble with a server."""
