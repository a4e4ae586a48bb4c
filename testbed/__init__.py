"""A real Debian server in a container, to try the deployment on."""
