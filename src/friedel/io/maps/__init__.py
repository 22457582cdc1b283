"""Maps for other programs: pictures with named, calibrated axes, as HyperSpy, netCDF and TIFF files."""
