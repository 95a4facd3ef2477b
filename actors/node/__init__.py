"""The actors that run once per node: the manager with its parts, the registry, the disk.

Begin with `manager`.
"""
