"""The broker: REST API for streaming sessions, and the reconciler that makes them true."""
