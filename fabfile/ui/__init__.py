"""Output for the operator."""
