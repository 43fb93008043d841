"""What becomes of questions whose call failed: they wait, they are asked in smaller batches, or they are given up on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from syncjob.core.model import Want

MOST_TRIES = 3
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=4)
FAR = timedelta(minutes=10)
"""No question waits so long: one that seems to was postponed while this machine's clock was ahead, and is asked at once."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The questions of a failed call: those to ask again, each with its time, and those to give up on."""

    again: tuple[Want, ...] = ()
    given_up: tuple[Want, ...] = ()


def together(wants: Sequence[Want], most: int) -> Sequence[Want]:
    """The first wants that one call may ask: at most `most`, and fewer where a larger batch with them has failed."""
    size = wants[0].most if wants else None
    return [want for want in wants if want.most == size][: min(size or most, most)]


def after_failure(wants: Sequence[Want], now: datetime, *, proven: bool, dead: bool) -> Failed:
    """A batch is asked again in halves, to find the one that fails. That one waits, longer each time, and is given up on
    at its third try, if the source answers others of its kind (`proven`): else nothing says that the record is to blame.
    One that was given up on before (`dead`) goes back at once."""
    if len(wants) > 1:
        return Failed(tuple(replace(want, most=len(wants) // 2, not_before=now) for want in wants))
    tries = wants[0].tries + 1
    if dead or (proven and tries >= MOST_TRIES):
        return Failed(given_up=tuple(wants))
    wait = FIRST_WAIT * min(2 ** (tries - 1), LONGEST_WAIT // FIRST_WAIT)
    return Failed((replace(wants[0], tries=tries, not_before=now + wait),))
