"""What every pattern's counts say: each phase in each orientation against none and against any other lattice."""
