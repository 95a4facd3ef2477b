"""The client that users hold; begin with `connection`.

`cluster_api` has the requests about a cluster's groups, `node_api` those about its nodes, `group_api` those
about the members of one group.
"""
