"""Micrographs of polycrystals, and series of them."""
