"""File formats of business partners, read, checked and written without
touching the outside world.

Each format is a package of pure functions on bytes; only the actions read
files, through a port.
"""
