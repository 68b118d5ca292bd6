"""What decides about a stream's quality, pure: no loop, socket, clock or client library."""
