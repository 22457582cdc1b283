"""Diffraction patterns, and scans of them."""
