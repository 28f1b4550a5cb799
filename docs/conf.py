"""How the documentation is built: Markdown in, HTML out, no network, warnings
are errors.
"""

from __future__ import annotations

project = "Agent Squad"
author = "The Agent Squad authors"
copyright = "The Agent Squad authors, Apache-2.0"

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["decisions/template.md"]

html_theme = "furo"
html_title = "Agent Squad"
html_show_sphinx = False
html_copy_source = False
