"""Floor 1: makes the nouns durable; itself stacked from the ledger up."""
