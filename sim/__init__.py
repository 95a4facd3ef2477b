"""The simulated world: the shipping actors on virtual time, a seeded network and seeded disks."""

if __name__ != "fleet.sim":
    raise ImportError(f"this folder installs as fleet.sim; import that, not {__name__!r}")
