"""Where deployments touch the machine: files, and Python's import system."""
