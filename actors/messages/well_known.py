"""The names under which a node's actors are reached from other processes."""

MANAGER = "node"
REGISTRY = "registry"
