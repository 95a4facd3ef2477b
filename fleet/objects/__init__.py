"""A user's object, from its class to its execution on a member.

`declare` and `group_handle` are what users see; `payload` encodes at the border; `executor` and `applier` run
committed calls. Begin with `declare`.
"""
