"""REST: actions, resources, runs, events and blobs over HTTP, derived from
operations.

It stands on the gateway alone. What an action is called, takes and returns
comes from its spec; the only actions named here are the readings that paths
such as `/v1/runs` stand for (readings.py). GraphQL, gRPC and the others are
rooms of their own.
"""
