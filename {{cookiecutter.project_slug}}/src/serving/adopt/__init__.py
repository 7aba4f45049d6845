"""`model adopt`: make another table this project's."""
