"""Run a command and write what it took: `launch.py REPORT COMMAND…`. Started by a big process, it is small itself.

A child begins with the memory mark of whoever forked it (Linux: setmax_mm_hiwater_rss at exec), so the bench, which
holds much, does not start what it measures; this does, below 15 MiB.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(report: str, *command: str) -> int:
    begun = time.perf_counter()
    _, status, used = os.wait4(os.posix_spawnp(command[0], list(command), os.environ), 0)
    figures = {
        "wall": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "mib": used.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    Path(report).write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
