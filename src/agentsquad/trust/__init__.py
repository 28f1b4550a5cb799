"""Trust: why somebody who was not there can believe what the log says."""
