"""Bugs that others had, and some of our own, as patches at run time. The list is `tests.sim.mutants`."""
