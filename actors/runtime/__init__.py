"""Shared by all actors: the table of handlers, the end of a turn, timers, clocks.

Begin with `actor`.
"""
