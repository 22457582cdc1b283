"""Sets of patterns and micrographs to train networks with."""
