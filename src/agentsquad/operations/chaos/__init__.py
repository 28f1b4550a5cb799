"""Chaos: crash, timeout and duplicate at every event boundary of a workflow.

An undisturbed rehearsal says how many boundaries there are; then the same
rehearsal is played once for each fault at each of them. The final state must
be the same and each effect must have reached the other side once. The report
is a signed receipt. Nothing outside is touched.
"""
