"""Archives, and the way back."""
