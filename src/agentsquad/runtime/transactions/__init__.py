"""Transactions: changes in several databases that happen together or not at
all, by two-phase commit over what the databases themselves offer."""
