"""A second process for the tests: `python -m tests.actors.base.peer`. Ends when its input closes.

Prints its endpoint, then answers each line of its input with "ok".
"""

import argparse
import sys
from typing import Any

from thespian.actors import Actor, ActorSystemMessage

from fleet.actors.base import start_system
from tests.actors.base.helpers import CLUSTER, SECRET, Echo, Send


class Asker(Actor):
    """Told to send, hands the answer back."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Send):
            self.asker = sender
            self.send(message.target, message.message)
        elif not isinstance(message, ActorSystemMessage):
            self.send(self.asker, message)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--cluster", default=CLUSTER)
    parser.add_argument("--secret", default=SECRET.decode())
    options = parser.parse_args()
    system = start_system(listen=options.listen, cluster=options.cluster, secret=options.secret.encode())
    system.createActor(Echo, globalName="echo")
    system.createActor(Asker, globalName="asker")
    print(system.base.endpoint, flush=True)
    for _ in sys.stdin:
        print("ok", flush=True)
    system.shutdown()


if __name__ == "__main__":
    main()
