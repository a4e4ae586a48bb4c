"""What goes into a virtual environment."""
