"""The wing of those who do the work: agents, their models' port, and what
explains them."""
