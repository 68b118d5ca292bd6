"""The command-line client of any broker. It knows the API alone, and imports nothing else of this project."""
