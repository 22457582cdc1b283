"""The road of a series of micrographs."""
