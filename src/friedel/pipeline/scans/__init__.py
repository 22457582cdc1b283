"""The road of a 4D-STEM scan."""
