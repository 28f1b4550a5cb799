"""The folders purchase to pay works with: what arrives, what leaves, and a
simulated bank."""
