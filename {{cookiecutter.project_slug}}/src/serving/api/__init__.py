"""What callers meet: types, contract, keys, routes, predictions, reasons, metrics and the prediction log."""
