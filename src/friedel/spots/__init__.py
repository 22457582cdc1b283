"""Spot detection, sub-pixel refinement and Friedel pairs."""
