"""A machine that keeps streaming backends up and registers them with a broker."""
