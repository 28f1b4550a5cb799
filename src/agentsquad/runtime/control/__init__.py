"""Control: declarative resources, kept as events and applied from manifests.

Not here: acting on resources. Whoever owns a kind reads it and does what it
says; this room only checks, stores, shows and explains.
"""
