"""`fleet finalize`: the end of a rolling upgrade."""

import click

from fleet.cli.connection import Console, client
from fleet.cli.options import DURATION
from fleet.cluster.fleet_version import newest_of_any
from fleet.versions import features_of


@click.command()
@click.argument("version", type=click.IntRange(1), required=False)
@click.option("--within", type=DURATION, default="30s", show_default=True, help="How long to wait.")
@client
def finalize(console: Console, version: int | None, within: float) -> None:
    """Put VERSION of the fleet in force, or the newest, when all nodes run a release that speaks it.

    Until then each node can go back to its former release; afterwards it cannot, since its directory may have
    what that does not read. `fleet status` shows what is in force, and which nodes hold a version back.
    """
    before = console.fleet.cluster().view
    assert before is not None
    wanted = version or newest_of_any(before.nodes)
    revision = console.fleet.finalize(wanted, timeout=within)
    brought = features_of(before.version, wanted)
    now = max(wanted, before.version)
    value = {"version": now, "was": before.version, "brought": brought}
    was = f"it was {before.version}" if now > before.version else "as it was"
    console.changed(
        revision, value, *(f"new: {what}" for what in brought), f"version {now} is in force, {was}"
    )
