"""The X12 standard as data: elements, segments, transaction sets and codes by
release.

`definition` reads these files; nothing here is code, so a new set or release
is a new file.
"""
