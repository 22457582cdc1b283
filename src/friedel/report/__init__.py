"""Figures, tables and the single-file report."""
