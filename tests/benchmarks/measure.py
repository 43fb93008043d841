"""`python measure.py OUT PROGRAM ... [-- PROGRAM ...]`: runs programs, each one's output into the next, and says what they took.

A small process of its own, because a child's peak memory counts what its parent held when it was started.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def run(commands: list[list[str]], out: str) -> dict[str, float]:
    """Wall and CPU seconds of all, and the sum of their peak memory in MB. What the last one prints goes to `out`, errors beside it."""
    began, processes, feed = time.monotonic(), [], subprocess.DEVNULL
    with Path(out).open("wb") as last, Path(f"{out}.err").open("wb") as errors:
        for number, command in enumerate(commands, 1):
            end = last if number == len(commands) else subprocess.PIPE
            processes.append(subprocess.Popen(command, stdin=feed, stdout=end, stderr=errors))
            feed = processes[-1].stdout or subprocess.DEVNULL
        for process in processes[:-1]:
            process.stdout.close()  # the next one's alone
        ended = [os.wait4(process.pid, 0) for process in processes]
    usages = [usage for _, _, usage in ended]
    return {
        "exit": max(os.waitstatus_to_exitcode(status) for _, status, _ in ended),
        "wall": time.monotonic() - began,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "memory": sum(usage.ru_maxrss for usage in usages) / 1024,
    }


if __name__ == "__main__":
    groups = itertools.groupby(sys.argv[2:], lambda word: word == "--")
    print(json.dumps(run([list(words) for is_gap, words in groups if not is_gap], sys.argv[1])))
