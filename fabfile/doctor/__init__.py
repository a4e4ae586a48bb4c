"""Why it cannot be used."""
