"""Errors of a node: its disk, its directory, its name, its settings, and its recovery."""

from fleet.errors.base import FleetError
from fleet.errors.calls import NotDone


class StorageFault(FleetError):
    """The disk failed or is full; none of the write took effect."""

    retry = True


class StoreFull(StorageFault):
    """The disk or the database has no space left."""

    hint = "free space on the node's disk, or move groups to other nodes; a database grows to 64 GiB"


class Damaged(FleetError):
    """A record on the disk is not what was written. `group` and `place` say where."""

    hint = "the member will not vote; let the quorum repair it"


class NodeDamaged(Damaged):
    """A record that the whole node depends on is not what was written; nothing was changed."""

    hint = (
        "keep the directory aside and start the node with an empty one and --join: "
        "the nodes that hold the other members bring its members back"
    )


class WrongDirectory(FleetError):
    """The data directory belongs to another node or cluster."""

    hint = "start the node that it belongs to, or choose an empty directory"


class OtherFormat(WrongDirectory):
    """The data directory has a version or format that this build does not read; nothing was changed."""

    hint = (
        "start it with a release that speaks what it has: the one that wrote it does; or take a backup with "
        "that, and restore it with this one"
    )


class NoDataDirectory(WrongDirectory):
    """There is no node's data where it was looked for; nothing was changed."""

    hint = "name the --data-dir of a node that has run; `fleet start` makes a new one"


class DirectoryInUse(FleetError):
    """Another process has locked the data directory."""

    retry = True
    hint = "another process holds this data directory; stop it first"


class NameTaken(FleetError):
    """Another node of the cluster runs under this one's name."""

    hint = "give this node another --name, or stop the other one first"


class UnknownName(FleetError):
    """A host name that cannot be resolved now."""

    retry = True
    hint = "check the name server, or --advertise this node's host:port as it stands in the list of founders"


class ConfigError(FleetError, ValueError):
    """An invalid setting; the message names it and says what is valid."""


class WrongVersion(FleetError):
    """Two builds have no version in common, or a build does not speak the version of the fleet in force."""

    hint = "install a release that speaks that version; `fleet status` shows builds and the version in force"


class WrongSecret(FleetError):
    """The two sides of a link hold different cluster secrets."""

    hint = "the peer holds another cluster secret; check --secret-file (secret, secret_file) on both sides"


class BadBackup(NotDone):
    """The file is no backup, or not whole, or of a newer format; nothing was restored."""

    hint = "use another backup; `fleet restore FILE --verify` reads a whole file and says what is in it"


class CannotRecover(NotDone):
    """The reports do not allow a plan; nothing was changed."""

    hint = "give a report of every node that survives, and name every other node as lost"


class NodeGivenUp(FleetError):
    """A node ends, since its cluster was recovered without it: it was named as lost."""

    hint = (
        "if it is one of the survivors, apply the same `fleet recover` to its directory; "
        "else keep that aside, and start the node with an empty one and --join: then it is a new node"
    )
