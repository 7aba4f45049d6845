"""What a row is: schema.yaml, the table's cells, the matrices that a model reads."""
