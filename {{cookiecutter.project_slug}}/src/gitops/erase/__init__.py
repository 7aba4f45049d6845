"""Rows of people who withdrew their consent: out of the data, its versions and what was made of them."""
