"""Batch scoring: `uv run model score --help`."""
