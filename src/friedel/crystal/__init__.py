"""Crystals, reflections, zone axes and the phase library."""
