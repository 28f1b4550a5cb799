"""What the shield is told by other people's libraries."""
