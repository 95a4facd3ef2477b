"""What `fleet demo` shows: one group on one screen, or many groups on four nodes.

Begin with `command`.
"""
