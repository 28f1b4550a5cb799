"""Where determinism touches the machine: files that it writes."""
