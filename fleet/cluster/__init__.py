"""The cluster group's state, and the pure decisions about it: placement, healing, founding.

Begin with `state`.
"""
