"""What must hold: invariants after every turn, linearizability at the end.

Begin with `invariants`.
"""
