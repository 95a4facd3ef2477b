"""One seed as an episode, many seeds explored, a failing one made short.

Begin with `episode`.
"""
