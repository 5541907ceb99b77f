"""Attacks from outside: each must find nothing, and its control must find something."""
