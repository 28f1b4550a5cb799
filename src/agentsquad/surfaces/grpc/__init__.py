"""gRPC: every action as a method, events and blobs as streams, described by
reflection."""
