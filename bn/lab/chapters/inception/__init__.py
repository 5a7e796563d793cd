"""inception."""
