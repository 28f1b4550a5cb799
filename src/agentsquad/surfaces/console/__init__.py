"""The console in the browser, as files.

What it shows comes from the other surfaces; here are only the pages that ask
them.
"""
