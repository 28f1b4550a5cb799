"""Where consistency checks meet the outside world: reading histories."""
