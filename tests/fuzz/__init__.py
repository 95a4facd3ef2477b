"""Hostile bytes for links: `python -m tests.fuzz --minutes M`."""
