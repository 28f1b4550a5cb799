"""Deployment: users' own code in the store, several versions side by side.

`squad deploy FILE` checks a Python file, a folder or a manifest against every
open run, keeps its source under its digest, and moves the runs that would go
on unchanged. The others stay under the version they began with, whose source
is in the store as well. Deployed code runs with the rights of the process:
nothing here confines it.
"""
