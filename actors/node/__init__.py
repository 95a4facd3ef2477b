"""What runs once a node: the manager with what it owns, the registry, the disk.

Begin with `manager`.
"""
