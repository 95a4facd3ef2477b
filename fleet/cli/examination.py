"""What `fleet doctor` and `fleet status` ask a cluster."""

from contextlib import suppress

from fleet.cli.connection import ASKED_S, Console
from fleet.cli.finding import Finding
from fleet.cli.findings import findings
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError
from fleet.raft.ids import node_of


def examine(console: Console) -> tuple[Survey, list[Finding]]:
    """The cluster as it is now, and what is wrong with it.

    Raises:
        NoMajority: no node that answers has a view of the cluster.
        Unavailable: no node answers.
    """
    survey = console.fleet.survey()
    leaderless = survey.leaderless
    told = console.statuses(leaderless)
    if CLUSTER_GROUP not in leaderless:
        with suppress(FleetError):
            status = console.fleet.status(CLUSTER_GROUP, ASKED_S)
            told[CLUSTER_GROUP] = {str(node_of(status.member)): status}
    return survey, findings(survey, told)
