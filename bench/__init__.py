"""What this machine measures: `python -m bench [name …]`; each module is one bench and runs by itself too."""
