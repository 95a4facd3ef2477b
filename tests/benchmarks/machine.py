"""What the figures were measured on."""

import os
import platform
import subprocess
import time
from pathlib import Path
from tempfile import gettempdir

ROOT = Path(__file__).resolve().parents[2]


def facts() -> dict[str, str]:
    disk = os.statvfs(gettempdir())
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpus": str(len(os.sched_getaffinity(0))),
        "processor": processor(),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit(),
        "directory": f"{gettempdir()}, {disk.f_bavail * disk.f_frsize >> 30} GiB free",
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
