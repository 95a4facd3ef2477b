"""The messages of actors.

Between hosts: `peer`, `client`, `operator`. Within a node, never on a link: `local`.
"""
