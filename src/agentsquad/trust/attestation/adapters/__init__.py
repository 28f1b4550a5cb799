"""Where attestation meets the world: keys and files."""
