"""Training of the networks: the only room that needs torch, installed by the extra `train`."""
