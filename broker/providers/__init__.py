"""What starts streaming backends, and ends them."""
