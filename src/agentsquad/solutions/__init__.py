"""Floor 3: whole business processes made of everything below them."""
