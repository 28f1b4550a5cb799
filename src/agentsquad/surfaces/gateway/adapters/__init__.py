"""What a gateway needs of the machine."""
