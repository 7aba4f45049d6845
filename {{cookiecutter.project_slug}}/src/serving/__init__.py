"""The service: what a row is, the model file, the API, batches. Configured in YAML, rarely edited."""
