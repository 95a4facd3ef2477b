"""The client that users hold: `connection` is the way in.

What is asked of a cluster stands in `cluster_api`, what of one group in `group_api`.
"""
