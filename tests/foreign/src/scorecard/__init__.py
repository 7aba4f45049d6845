"""Another team's model: logistic regression in plain NumPy, with a file format and a service of its own."""
