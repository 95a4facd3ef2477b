"""The Thespian actors: members, registry, node manager, disk, clients. `base/` is the system they run on."""

if __name__ != "fleet.actors":
    raise ImportError(f"this folder installs as fleet.actors; import that, not {__name__!r}")
