"""What takes minutes, measured on real processes: `python -m tests.always.soak NAME`.

soak    the service for ten minutes in a changing world, with faults: open files, memory, what lies in the state folder
hints   from a hint to the row in the destination, a hundred times
flood   ten thousand hints in a minute: polls, budget, memory
stops   SIGTERM at fifty random moments of a busy cycle
"""

import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from syncjob.sandbox import Fault, Faults, Kind, Limits, Sandbox
from tests.cli.job import Job

from .service import Service, running, until
from .webhooks import BODY, SETTINGS, door, hint, signed

MINUTES = 10
FAST = {"POLL_INTERVAL_SECONDS": "3600", "HINT_MIN_INTERVAL_SECONDS": "0", **SETTINGS}
TROUBLES = (Kind.ERROR_EMPTY, Kind.LIMIT, Kind.RESET_WITHIN_BODY, Kind.TRUNCATED_JSON, Kind.LOGIN_PAGE)


def change(sandbox: Sandbox, rng: random.Random) -> None:
    """Something happens in one of the worlds."""
    teamwork, missive = sandbox.world.teamwork, sandbox.world.missive
    with suppress(KeyError, ValueError, LookupError):
        if rng.random() < 0.5:
            teamwork.edit_task(int(rng.choice(list(sandbox.truth.tasks()))), name=f"edited {rng.random()}")
        elif rng.random() < 0.5:
            missive.add_message(rng.choice(list(missive.conversations)), body=f"<p>{rng.random()}</p>")
        else:
            missive.add_conversation(1, subject=f"new {rng.random()}")


def first_delivery(service: Service) -> None:
    service.until_printed("destination=sqlite written")
    until(lambda: service.job.differences() == [])


def soak(folder: Path) -> None:
    """Every ten seconds a line; memory and open files after the first two minutes must not grow."""
    rng = random.Random(6)
    with Sandbox(seed=6, tasks=300, conversations=40) as sandbox:
        job = Job(folder, sandbox, {"POLL_INTERVAL_SECONDS": "2", "SWEEP_INTERVAL_SECONDS": "60", **SETTINGS})
        sandbox.faults = Faults()
        sandbox.faults.seeded(rng, 0.02, TROUBLES)
        with running(job, "--health", "0", "--hints", "0", HTTP_RETRIES="3") as service:
            url, process = door(service), psutil.Process(service.process.pid)
            began = time.monotonic()
            print("second  MB RSS  files  threads  WAL KB  spool  state KB  requests")
            while (second := time.monotonic() - began) < 60 * MINUTES:
                for _ in range(10):
                    change(sandbox, rng)
                    hint(url, rng.choice(("teamwork", "missive")))
                    time.sleep(1)
                print(f"{second:6.0f}  {look(process, job)}  {len(sandbox.log):8}", flush=True)
            sandbox.faults.clear()
            time.sleep(15)
            until(lambda: job.differences() == [], seconds=60)
            print(f"stopped in {service.stop():.1f} s, exit {service.process.returncode}; differences: {job.differences()}")


def look(process: psutil.Process, job: Job) -> str:
    """The numbers that must not grow."""
    files = [path for path in job.state.rglob("*") if path.is_file()]
    log = job.state / "mirror.db-wal"
    spool = sum(path.is_relative_to(job.state / "spool") for path in files)
    size = sum(path.stat().st_size for path in files if path.exists()) // 1024
    wal = log.stat().st_size // 1024 if log.exists() else 0
    rss = process.memory_info().rss / 1e6
    return f"{rss:6.1f}  {process.num_fds():5}  {process.num_threads():7}  {wal:6}  {spool:5}  {size:8}"


def hints(folder: Path) -> None:
    """A change, a hint, and how long until the row is there."""
    with Sandbox(seed=6, tasks=60, conversations=6) as sandbox:
        job = Job(folder, sandbox, FAST)
        with running(job, "--hints", "0") as service:
            url, tasks = door(service), [int(key) for key in sandbox.truth.tasks()]
            first_delivery(service)
            took, answered = [], []
            for number in range(100):
                sandbox.world.teamwork.edit_task(tasks[number % len(tasks)], name=f"hint {number}")
                began = time.monotonic()
                assert hint(url, "teamwork") == 200
                answered.append(time.monotonic() - began)
                until(lambda name=f"hint {number}": has_task(job, name))
                took.append(time.monotonic() - began)
            service.stop()
    print(f"hint to row: median {statistics.median(took):.3f} s, worst {max(took):.3f} s of {len(took)}")
    print(f"answer to the hint: median {statistics.median(answered) * 1000:.1f} ms, worst {max(answered) * 1000:.1f} ms")


def has_task(job: Job, title: str) -> bool:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(job.sqlite)) as connection:
        return connection.execute("SELECT count(*) FROM tasks WHERE title = ?", [title]).fetchone()[0] == 1


def flood(folder: Path) -> None:
    """Ten thousand valid hints in about a minute, at the documented limits."""
    with Sandbox(seed=6, tasks=60, conversations=6, limits=Limits.documented()) as sandbox:
        job = Job(folder, sandbox, {"POLL_INTERVAL_SECONDS": "60", **SETTINGS})
        with running(job, "--hints", "0") as service:
            url, process = door(service), psutil.Process(service.process.pid)
            first_delivery(service)
            before, memory, began = len(sandbox.log), process.memory_info().rss / 1e6, time.monotonic()
            shoot(10_000, 60, lambda session, source: session.post(f"{url}/hints/{source}", data=BODY, headers=signed(source), timeout=60))
            seconds = time.monotonic() - began
            asked = sandbox.log[before:]
            polls = {face: len({round(each.at) for each in asked if each.face == face}) for face in ("teamwork", "missive")}
            refused = sum(each.status == 429 for each in sandbox.log)
            print(f"10000 hints in {seconds:.0f} s; requests {len(asked)}, seconds with a poll {polls}, 429s {refused}")
            print(f"memory: {memory:.1f} MB before, {process.memory_info().rss / 1e6:.1f} MB after; open files {process.num_fds()}")
            service.stop()


def shoot(number: int, seconds: float, send: Callable[[requests.Session, str], object]) -> None:
    """That many, evenly over so many seconds, from eight threads."""
    began, threads, sent = time.monotonic(), 8, []

    def work(first: int) -> None:
        with requests.Session() as session:
            for index in range(first, number, threads):
                time.sleep(max(0.0, began + index * seconds / number - time.monotonic()))
                sent.append(send(session, ("teamwork", "missive")[index % 2]))

    workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(sent) == number


def stops(folder: Path) -> None:
    """Each start goes on where the last one stopped; at the end nothing is lost and nothing is there twice."""
    rng = random.Random(50)
    took: list[float] = []
    with Sandbox(seed=6, tasks=900, conversations=120) as sandbox:
        job = Job(folder, sandbox, {"POLL_INTERVAL_SECONDS": "1", "SWEEP_INTERVAL_SECONDS": "5"})
        for number in range(50):
            if number % 10 == 5:
                sandbox.faults.always(".*", Fault(Kind.SLOW, delay=rng.choice((0.001, 60))))
            with running(job) as service:
                service.until_printed("state folder")
                until(lambda: (job.state / "mirror.db").exists())
                change(sandbox, rng)
                time.sleep(rng.random() * 2.5)
                took.append(service.stop(rng.choice((signal.SIGTERM, signal.SIGINT))))
                assert service.process.returncode == 0, service.out
            sandbox.faults.clear()
        ran = job.once()
        print(f"50 stops: median {statistics.median(took):.2f} s, worst {max(took):.2f} s, every exit 0")
        left = sum(1 for _ in (job.state / "spool").rglob("*.leaf"))
        print(f"then once: exit {ran.exit}; differences {job.differences()}; answers left in the spool: {left}")


NAMES: dict[str, Callable[[Path], None]] = {"soak": soak, "hints": hints, "flood": flood, "stops": stops}

if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as place:
            NAMES[name](Path(place))
