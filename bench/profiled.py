"""The portal under cProfile: ``python -m bench.profiled OUT serve --config ...``.

Everything that its main thread does until SIGTERM is counted; OUT is for pstats.
"""

import cProfile
import sys
import time

from gateway.cli import main

if __name__ == "__main__":
    profile = cProfile.Profile(time.thread_time)  # not the waiting, nor other processes
    out = sys.argv.pop(1)
    try:
        profile.runcall(main)
    finally:
        profile.dump_stats(out)
