"""Analytics: sums over the log that can always be traced back to the events
they add up."""
