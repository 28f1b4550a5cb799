"""Flows of other languages as workflows of ours: Serverless Workflow and BPMN.

What has an equivalent is taken over, what has none is listed with its place:
never left out in silence.
"""
