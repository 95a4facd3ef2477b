"""What goes wrong in a simulated fleet: drawn from a seed, kept as a schedule, carried out.

Begin with `schedule`.
"""
