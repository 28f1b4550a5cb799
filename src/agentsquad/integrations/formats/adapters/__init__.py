"""Where the formats meet the outside world: reading files."""
