"""Recipes and runs: the road from a file to a run folder."""
