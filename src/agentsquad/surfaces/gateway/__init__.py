"""The gateway: actions as operations, the same for every surface that stands on
it."""
