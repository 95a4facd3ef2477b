"""A client as an actor.

`actor` talks to the threads of its process, `router` to nodes, `group_session` to one group. Begin with
`router`.
"""
