"""Spots of a micrograph: grains, their names, and where each of them is."""
