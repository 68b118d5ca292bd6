"""What decides: pure values and functions, without clock, socket or log."""
