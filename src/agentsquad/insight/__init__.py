"""The wing of readings: what the log says about cost, time and behaviour."""
