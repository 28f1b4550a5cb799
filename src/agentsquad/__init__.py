"""Agent Squad: the control plane for work done by AI agents and people, on one
verifiable log.
"""

__version__ = "0.1.0"
