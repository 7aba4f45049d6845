"""The model review: champion against challenger on the same rows, and the comment that tells it."""
