"""The calls that a workspace may make in a month: https://support.airtable.com/docs/managing-api-call-limits-in-airtable"""

import logging
from datetime import datetime

from syncjob.core.ports import Ledger

log = logging.getLogger("syncjob")
WARN_SHARE = 0.8


def count_call(ledger: Ledger, now: datetime, allowed: int | None) -> None:
    """Count a call before it is made; say so once when four fifths of what is allowed are used, and once when all is."""
    calls = ledger.count(f"{now:%Y-%m}")
    for share in (WARN_SHARE, 1.0):
        if allowed and calls == max(1, round(share * allowed)):
            said = "airtable: %s of the %s calls that AIRTABLE_MONTHLY_CALLS allows in a month are made; raise AIRTABLE_DELIVER_SECONDS"
            log.warning(said, f"{calls:,}", f"{allowed:,}")
