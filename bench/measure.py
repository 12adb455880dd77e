"""What a process used, from /proc."""

import contextlib
import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> set[int]:
    """A process and all its descendants."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended since
            for child in task.read_text().split():
                found |= tree(int(child))
    return found


def cpu(pid: int) -> float:
    """Seconds of processor time of a process and its descendants, those that have ended too, as
    fine as the kernel tells."""
    return sum((_precise(one) or _coarse(one)) + _coarse(one, ended=True) for one in tree(pid))


def _precise(pid: int) -> float:
    """From the scheduler, to the nanosecond; 0 where the kernel keeps no such count. A thread
    that has ended is not in it: servers keep theirs."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e9


def _coarse(pid: int, *, ended: bool = False) -> float:
    """In ticks; ended: of the children that it waited for."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = fields[13:15] if ended else fields[11:13]
        return (int(user) + int(system)) / _TICK
    return 0.0


def memory(pid: int) -> float:
    """Resident bytes of a process and its descendants."""
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in tree(pid)) * _PAGE


def forget_peak(pid: int) -> None:
    """`peak` counts from now on. For processes of this user."""
    for one in tree(pid):
        Path(f"/proc/{one}/clear_refs").write_text("5", encoding="ascii")


def peak(pid: int) -> float:
    """The most resident bytes that a process and its descendants had, each at its own moment."""
    return sum(_high_water(one) for one in tree(pid))


def _high_water(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
