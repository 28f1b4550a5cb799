"""Where policy meets the Rego engine and the file system."""
