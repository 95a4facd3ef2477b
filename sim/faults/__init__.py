"""What goes wrong in a simulated fleet: one class a kind of fault, which says how it is drawn, done and told.

Begin with `fault`, then any of `network`, `processes`, `disks`, `clocks`, `operators`.
"""
