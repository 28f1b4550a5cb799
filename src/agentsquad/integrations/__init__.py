"""Everything that speaks to other systems: their formats, their interfaces,
their models.

A format is pure (bytes to values and back); a connector reaches out. Neither
knows another.
"""
