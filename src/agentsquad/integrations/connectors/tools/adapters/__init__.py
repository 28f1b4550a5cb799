"""How tool servers are reached: standard streams of a program, or HTTP."""
