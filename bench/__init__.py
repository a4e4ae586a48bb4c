"""How long it takes, side by side with the same script through plain ssh."""
