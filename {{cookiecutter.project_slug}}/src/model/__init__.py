"""The model: from a table to a service. `uv run model --help`."""
