"""The command line: `squad`, generated from the registry."""
