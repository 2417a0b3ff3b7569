"""Whose a visitor is: the observations weighed, limits applied, and kept up with what is new."""
