"""The outside world of the proxy: its sockets and the agents it starts."""
