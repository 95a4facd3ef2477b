"""`fleet group` with all that it can: what is not about where groups are has modules of its own."""

from fleet.cli import history
from fleet.cli.group import group
from fleet.cli.state import diff, repair
from fleet.cli.upgrade import upgrade, versions

__all__ = ["group"]

for command in (upgrade, versions, diff, repair, history.at, history.log, history.bisect, history.debug):
    group.add_command(command)
