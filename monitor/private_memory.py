"""Keeps this process' memory to itself: no core dump, and no other process of the user reads it."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4
"""prctl(2)."""


def keep_private() -> list[str]:
    """Turn core dumps and ptrace off; what could not be turned off, in words.

    The price: tools of the same user can no longer look at the process, and the metrics of its open
    files may be missing, for /proc belongs to root then. Programs that it runs are not concerned.
    """
    failed = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        failed.append("the limit of core dumps cannot be set")
    if not sys.platform.startswith("linux"):
        failed.append("only Linux can keep other processes of the user out")
    elif ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        failed.append("other processes of the user cannot be kept out")
    return failed
