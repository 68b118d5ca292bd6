"""The broker's HTTP side: what is on the wire, and nothing of what it means. HTTP statuses live here alone."""
