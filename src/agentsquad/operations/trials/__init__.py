"""Trials: `squad test`. A workflow of the installation is played over and over
in rehearsals with generated input, in a world that loses answers, refuses,
crashes and changes its mind; laws are checked after each; what breaks one is
made as small as it can be.

It proves nothing about the other side of a connector: effects are simulated.
"""

from __future__ import annotations
