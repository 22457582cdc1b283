"""The web page: a server on this machine that shows files, runs recipes and shows their results."""
