"""Spots matched with the reciprocal nets of any phase at any zone axis."""
