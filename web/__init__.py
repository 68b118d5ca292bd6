"""The web client as package data: `web.ROOT` is the folder that holds it."""

from pathlib import Path

ROOT = Path(__file__).parent
