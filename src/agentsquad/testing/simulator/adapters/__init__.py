"""The simulator's hold on what lies outside it: SQLite's files and the
machine's processors."""
