"""From spots to phases: lattices, matching, probabilities, maps."""
