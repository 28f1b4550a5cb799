"""Policy: the decision before each action, as Rego rules and JSON data.

Rules are pure functions of the question; they see no clock, no chance and no
network. Deciding who must approve and holding the answer to it is the engine's
business, not this room's.
"""
