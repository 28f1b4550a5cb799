"""AI platforms as models: one folder a protocol, and what they share.

Not the agents that use them: those know only the model port.
"""
