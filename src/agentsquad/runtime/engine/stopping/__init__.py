"""Stopping: why steps, branches and runs end before their time. It holds no
logic; scopes, branches and the scheduler do the stopping.
"""
