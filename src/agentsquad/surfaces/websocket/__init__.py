"""WebSocket: one connection over which events are followed and actions are
called; no meaning of its own, the gateway's in JSON messages."""
