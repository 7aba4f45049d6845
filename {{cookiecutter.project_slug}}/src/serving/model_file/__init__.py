"""The model file: its formats, how training writes it and how the service opens it."""
