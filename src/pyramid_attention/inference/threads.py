"""How many cores this process may use: what the operating system, a container and the user allow."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """The smaller of `machine_cores` and OMP_NUM_THREADS."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    limit = int(wanted) if wanted.isdigit() else 0
    return min(machine_cores(), limit) if limit > 0 else machine_cores()


def machine_cores() -> int:
    """The smaller of the cores that the process may run on and the container's CPU quota (rounded up)."""
    quota = container_quota()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def container_quota() -> float | None:
    """The cores' worth of time that the container's control group allows (cgroup v2 or v1), or None for no limit."""
    try:
        quota, period = CGROUP_V2.read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (CGROUP_V1 / "cpu.cfs_quota_us").read_text().strip()
            period = (CGROUP_V1 / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return share if share > 0 else None
