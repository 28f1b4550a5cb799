"""GraphQL: every action as a field, every kind of resource as an entity of a
federation subgraph, events as subscriptions."""
