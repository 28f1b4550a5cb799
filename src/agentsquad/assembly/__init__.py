"""Floor 5: the only wiring.

Settings, the catalogue of plugins and the profiles.
"""
