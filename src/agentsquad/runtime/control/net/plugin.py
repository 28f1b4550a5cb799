"""What nets offer: the check. The files it reads are read as manifests are
(`control.plugin`)."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.net.actions import check_file

plugin = Plugin(name="net", actions=(check_file,))
