"""The wing of operations: what keeps an installation healthy and shows that it
is."""
