"""A run from beginning to end: the loop, its clock, its display, several seeds."""
