"""Many files with one recipe: given at once, or as they come."""
