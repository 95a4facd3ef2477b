"""A second build of fleet: a copy of this tree that speaks one version more, and what that brought.

Its cluster group has one command more, `annotate`, which earlier builds could not execute, and its nodes send
each other a message that earlier builds cannot read.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fleet.versions import NEWEST
from tests.processes.nodes import ROOT

LATER = NEWEST + 1
SAID = "was told of a note by"
"""In the log of a node that has got the message."""

CHANGES: dict[str, dict[str, str]] = {
    "fleet/versions.py": {
        f"NEWEST: Final = {NEWEST}\n": f"NEWEST: Final = {LATER}\n",
        "FEATURES: Final = (FIRST_RELEASE,)\n": (
            f'NOTES: Final = Feature({LATER}, "a note on the cluster")\n'
            "FEATURES: Final = (FIRST_RELEASE, NOTES)\n"
        ),
    },
    "fleet/cluster/commands.py": {
        "from fleet.versions import FIRST_BUILD, Build\n": (
            "from fleet.versions import FIRST_BUILD, NOTES, Build\n"
        ),
        "    @command\n    def finalize(": """    note: str = ""

    @command
    def annotate(self, text: str) -> str:
        if not NOTES.is_on(self.version):
            refuse(WrongVersion("there are no notes yet"))
        before, self.note = self.note, text
        return before

    @command
    def finalize(""",
    },
    "actors/messages/peer.py": {
        "register(PeerMail,": f"""class NodeNote(Struct, frozen=True, array_like=True, tag=90):
    me: NodeInfo


register(NodeNote, since={LATER})
register(PeerMail,""",
    },
    "actors/node/manager.py": {
        "import Clone, GivenUp, NodeHello, OlderCopy\n": (
            "import Clone, GivenUp, NodeHello, NodeNote, OlderCopy\n"
        ),
        "        about = cluster, answers,": (
            "        self.send(manager, NodeNote(me))\n        about = cluster, answers,"
        ),
        "        Clone: lambda": (
            f'        NodeNote: lambda node, m, sender: log.info("{SAID} %s", m.me.name),\n'
            "        Clone: lambda"
        ),
    },
}
NOTE = """
import sys, fleet
from fleet.versions import NOTES
with fleet.connect(sys.argv[1], cluster=sys.argv[2], secret_file=sys.argv[3], timeout=30) as f:
    if NOTES.is_on(f.cluster().view.version):
        print("before:", f._commit(f._cluster.annotate, None, sys.argv[4])[0])
    else:
        print("off")
"""


class SecondBuild:
    def __init__(self, home: Path) -> None:
        self.home = home
        for folder in ("fleet", "actors", "storage", "sim", "tests/support"):
            shutil.copytree(
                ROOT / folder, home / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        for path, changes in CHANGES.items():
            text = (home / path).read_text()
            for old, new in changes.items():
                assert text.count(old) == 1, f"{path}: {old!r}"
                text = text.replace(old, new)
            (home / path).write_text(text)

    def note(self, address: str, cluster: str, secret_file: Path, text: str) -> str:
        """Have a client of this build annotate the cluster, if it may. "off", or the note before."""
        words = [sys.executable, "-c", NOTE, address, cluster, str(secret_file), text]
        environment = os.environ | {"PYTHONPATH": str(self.home)}
        ran = subprocess.run(
            words, cwd=self.home, env=environment, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()
