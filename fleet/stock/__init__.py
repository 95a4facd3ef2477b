"""Nodes on Thespian's own `multiprocTCPBase`, where every actor is a process, and their sealed messages.

Begin with `node`; `seal` has the messages, `transport` their queues, `gateway` the way to clients and other
nodes.
"""
