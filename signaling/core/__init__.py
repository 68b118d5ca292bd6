"""Pure decisions of the relay: no asyncio, socket, clock, logger or client library."""
