"""`python -m syncjob run` as a service manager runs it, against a sandbox over real HTTP."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cli.job import Job

PATIENCE = 30.0


@dataclass(slots=True)
class Service:
    """A process at work."""

    process: subprocess.Popen[str]
    job: Job

    @property
    def out(self) -> str:
        """What it has printed so far, to both."""
        return "".join((self.job.folder / name).read_text() for name in ("out", "err"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to stop; how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self.job.check(self.out)
        return time.monotonic() - began

    def until_printed(self, text: str) -> None:
        until(lambda: text in self.out, lambda: f"{text!r} in {self.out}")


@contextmanager
def running(job: Job, *args: str, **env: str) -> Iterator[Service]:
    """The service, from its start to its end, which is rough if the test did not stop it."""
    command = [sys.executable, "-m", "syncjob", "run", *args]
    with (job.folder / "out").open("w") as out, (job.folder / "err").open("w") as err:
        process = subprocess.Popen(command, env=job.env(**env), cwd=job.folder, stdout=out, stderr=err, text=True)
    try:
        yield Service(process, job)
    finally:
        process.kill()
        process.wait()


def until(happens: Callable[[], Any], told: Callable[[], str] = lambda: "", seconds: float = PATIENCE) -> float:
    """Wait until something is so; how many seconds that took."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds, told()
        time.sleep(0.005)
    return time.monotonic() - began
