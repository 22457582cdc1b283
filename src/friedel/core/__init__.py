"""Value types, grids, units and errors; imports numpy and nothing else of friedel."""
