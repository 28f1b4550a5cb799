"""The world outside nets: files."""
