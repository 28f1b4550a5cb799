"""Models that run on this machine from weights in packages."""
