"""A fleet under simulated time: the broker's own cores decide, everything around them is made up."""
