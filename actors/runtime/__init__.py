"""What every actor is made of: a table of handlers, the end of a turn, timers, clocks.

Begin with `actor`.
"""
