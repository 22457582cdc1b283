"""Simulated patterns, scans and micrographs with their truth."""
