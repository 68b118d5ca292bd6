"""Where sessions and their claims are kept."""
