"""Children that end when their parent does, even when that is killed outright."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def parent() -> None:
    """For `preexec_fn`: ask the kernel for SIGTERM when the parent dies (Linux; else nothing)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
