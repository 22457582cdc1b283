"""What stays, appears and vanishes from frame to frame."""
