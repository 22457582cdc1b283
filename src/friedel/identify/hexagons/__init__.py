"""Regular hexagons by RANSAC, and what light in their rings says of phases."""
