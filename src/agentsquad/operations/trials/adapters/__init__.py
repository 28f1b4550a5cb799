"""Where trials touch the machine: Hypothesis, processes, Python files."""
