"""What runs where: a branch for each environment, and the commits that promote and roll back."""
