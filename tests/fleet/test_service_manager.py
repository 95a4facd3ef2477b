"""The protocol of systemd, beside what tests of processes show."""

import os
import secrets
import socket

import pytest

from fleet.service_manager import STATUS_EVERY_S, ServiceManager


def test_without_a_socket_nothing_is_told_and_nothing_opened() -> None:
    manager = ServiceManager({})
    assert not manager.is_there and manager.watchdog_s == 0 and manager.every_s == STATUS_EVERY_S
    manager.serves()
    manager.stops(1.0)


def test_a_socket_may_have_an_abstract_name_and_a_status_is_told_once() -> None:
    name = f"fleet-test-{secrets.token_hex(8)}"
    environ = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(5)
        manager = ServiceManager(environ)
        assert environ == {} and manager.every_s == 2.0
        manager.on_health(("it is starting", "it waits"))
        manager.on_health(("it is starting", "it waits"))
        manager.on_health(())
        manager.stops(60.0)
        told = [systemd.recv(4096).decode() for _ in range(4)]
        manager.close()
    assert told == [
        "WATCHDOG=1\nSTATUS=not ready: it is starting; it waits",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=ready",
        "STOPPING=1\nSTATUS=leaves the cluster, within 60 s\nEXTEND_TIMEOUT_USEC=70000000",
    ]


@pytest.mark.parametrize("wanted", ["", "soon", "-1", "²", "9" * 400, "9" * 5000])
def test_a_watchdog_that_is_no_number_is_none(wanted: str) -> None:
    assert ServiceManager({"WATCHDOG_USEC": wanted}).watchdog_s == 0
