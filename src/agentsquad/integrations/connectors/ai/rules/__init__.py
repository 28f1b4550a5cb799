"""Rules as a model: plain Python functions answer, by name."""
