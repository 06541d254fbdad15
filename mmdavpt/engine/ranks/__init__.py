"""What several processes agree on, and what one does for all of them."""
