"""`run`: one process that stays up. APScheduler only wakes it; what is due is decided by `core.steps`."""

import threading

from apscheduler.schedulers.background import BackgroundScheduler

from syncjob.build import Choices
from syncjob.core.errors import ConfigError, SyncjobError
from syncjob.once import run_once
from syncjob.report import Report
from syncjob.settings import Settings


def run_forever(settings: Settings, choices: Choices, report: Report, stop: threading.Event) -> int:
    """A cycle now and at every interval, until asked to stop; 0 then. Settings that only the user can mend end it at once."""
    wake = threading.Event()
    wake.set()
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(wake.set, "interval", seconds=settings.poll_interval_seconds, coalesce=True, max_instances=1)
    scheduler.start()
    try:
        while not stop.is_set():
            if wake.wait(0.5):
                wake.clear()
                _cycle(settings, choices, report, stop)
    finally:
        scheduler.shutdown(wait=False)
    return 0


def _cycle(settings: Settings, choices: Choices, report: Report, stop: threading.Event) -> None:
    """One cycle. What is transient waits for the next one."""
    try:
        run_once(settings, choices, report, stop)
    except ConfigError:
        raise
    except SyncjobError as error:
        report.problem("syncjob", error)
