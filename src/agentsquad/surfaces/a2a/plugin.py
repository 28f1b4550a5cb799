"""What the A2A surface offers: the task as a workflow, and looks at tasks."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.a2a.actions import show, skills, tasks
from agentsquad.surfaces.a2a.workflow import a2a_task

plugin = Plugin(name="a2a", actions=(show, skills, tasks), workflows=(a2a_task,))
