"""What actors say to each other.

Between hosts: `peer`, `client`, `operator`. Within a node, never on a link: `local`.
"""
