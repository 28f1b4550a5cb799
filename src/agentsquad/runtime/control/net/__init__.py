"""Net: what a workflow or a Petri net can come to, found before it runs.

Reads PNML, turns manifests and Python workflows into place/transition nets, and
decides deadlock, boundedness and dead transitions by structure and by search.
Not here: running workflows, and nets with colours, time or inhibitor arcs.
"""
