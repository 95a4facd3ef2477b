"""Takes from Python's modules what only Linux has, in each process that finds this folder in PYTHONPATH."""

import os
import resource
import select
import selectors
import signal
import socket
from types import ModuleType, SimpleNamespace

PREFIXES: dict[ModuleType, tuple[str, ...]] = {
    os: (
        "eventfd", "EFD_", "memfd_", "MFD_", "fdatasync", "sched_", "splice", "SPLICE_", "copy_file_range",
        "posix_fa", "O_DIRECT", "O_PATH", "O_TMPFILE", "pidfd_", "pipe2", "getrandom", "setns", "unshare",
        "timerfd_",
    ),
    resource: ("prlimit", "RLIMIT_OFILE", "RLIMIT_RTPRIO", "RLIMIT_SIGPENDING"),
    select: ("epoll", "EPOLL"),
    signal: ("pidfd_", "sigtimedwait", "sigwaitinfo", "SIGRT", "SIGPWR", "SIGPOLL", "SIGSTKFLT"),
    socket: (
        "SOCK_NONBLOCK", "SOCK_CLOEXEC", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_QUICKACK", "TCP_CORK",
        "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC", "MSG_ERRQUEUE", "AF_NETLINK", "AF_VSOCK",
    ),
}  # fmt: skip
setattr(selectors, "select", SimpleNamespace(**vars(select)))  # its epoll stands for the kqueue of macOS
for module, prefixes in PREFIXES.items():
    for name in [name for name in vars(module) if name.startswith(prefixes) and name != "O_DIRECTORY"]:
        delattr(module, name)
