"""One task on many servers."""
