"""What a running run is told from outside: queries, updates, signals,
escalations, and what people do by hand when it stands still."""
