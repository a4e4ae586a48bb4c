"""One task on many hosts."""
