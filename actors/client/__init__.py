"""A client as an actor.

`actor` takes what threads want from its `inbox` to the `router`. That carries out what `group_session`
decides about the calls to one group, and `questions` about operators' requests. Begin with `router`.
"""
