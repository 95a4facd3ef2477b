"""The client that users hold; begin with `connection`.

`cluster_api` has the requests about a cluster, `group_api` those about the members of one group.
"""
