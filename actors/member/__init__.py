"""A consensus member as an actor: it drives the Raft core and the user's object.

Router of clients and of operators have modules of their own. Begin with `actor`.
"""
