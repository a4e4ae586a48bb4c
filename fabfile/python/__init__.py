"""The Python packages of the virtual environment."""
