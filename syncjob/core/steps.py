"""What a source does next: a pure function of the time and of where the source stands.

A source's order, unless it has to wait: answers left in the spool, whose key it is, the changes walk when it is due, look-ups, the
sweep, the full walk. So fresh data never waits for old data, and a long walk yields after every page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from syncjob.core.model import Walk, WalkKind, Want
from syncjob.core.questions import MOST_TRIES

LONGEST_BACK_OFF = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Absorb:
    """Take in the answer that was left in the spool."""


@dataclass(frozen=True, slots=True)
class Identify:
    """Ask whose key this is, before any walk."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a walk. `reread`: also what is known and looks equal is read again."""

    kind: WalkKind
    reread: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """Fetch the next page of a walk's list."""

    walk: Walk


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the next wants, one call for each batch. `walk` None: look-ups that outlived their walk."""

    walk: Walk | None
    batches: Sequence[Sequence[Want]]


@dataclass(frozen=True, slots=True)
class Conclude:
    """Suspect what a walk over everything did not meet."""

    walk: Walk


@dataclass(frozen=True, slots=True)
class Finish:
    """Close a walk that has nothing left to ask."""

    walk: Walk


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before `until`; None: nothing at all is due."""

    until: datetime | None = None


Step: TypeAlias = Absorb | Identify | Begin | Turn | Ask | Conclude | Finish | Rest


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a source stands: all that `next_step` needs to know.

    `asks` holds, per open walk (None: no walk), the batches its next calls would ask; `waiting` the earliest
    time at which a walk's remaining wants may be asked, for walks that have some but none now.
    """

    leftovers: bool = False
    identified: bool = True
    not_before: datetime | None = None
    hinted: bool = False
    checkpoint: datetime | None = None
    changes_at: datetime | None = None
    swept_at: datetime | None = None
    scope_grew: bool = False
    walks: Sequence[Walk] = ()
    asks: Mapping[int | None, Sequence[Sequence[Want]]] = field(default_factory=dict)
    waiting: Mapping[int | None, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When walks are due, and which of them a person asked for in this run. `hint`: the least time between two polls."""

    poll: timedelta
    sweep: timedelta | None = None
    hint: timedelta = timedelta()
    full_asked: bool = False
    sweep_asked: bool = False


def next_step(now: datetime, standing: Standing, rhythm: Rhythm) -> Step:
    """The one thing that this source does now."""
    if standing.not_before and now < standing.not_before:
        return Rest(standing.not_before)
    if standing.leftovers:
        return Absorb()
    if not standing.identified:
        return Identify()
    walks = {walk.kind: walk for walk in standing.walks}
    due = _due(now, standing, rhythm)
    if "changes" in walks and (step := _go_on(walks["changes"], standing)) and not (due == "changes" and _is_retry(step)):
        return step
    if due == "changes":
        return Begin("changes")
    if asks := standing.asks.get(None):
        return Ask(None, asks)
    if due:
        return Begin(due, reread=due == "full" and rhythm.full_asked)
    for kind in ("sweep", "full"):
        if kind in walks and (step := _go_on(walks[kind], standing)):
            return step
    return Rest(_next_time(now, standing, rhythm))


def back_off(failures: int, poll: timedelta) -> timedelta:
    """How long a part that failed so often in a row is left alone: a poll's interval, doubled each time, up to five minutes."""
    return max(poll, min(poll * (1 << min(failures - 1, 20)), LONGEST_BACK_OFF))


def _due(now: datetime, standing: Standing, rhythm: Rhythm) -> WalkKind | None:
    """The kind of walk that should be opened now, if any."""
    open_kinds = {walk.kind for walk in standing.walks}
    if standing.checkpoint is None:
        return None if "full" in open_kinds else "full"
    if now >= _changes_due(now, standing, rhythm):
        return "changes"  # one that is still open only waits: the new one takes over what it has to ask
    if open_kinds & {"sweep", "full"}:
        return None
    if rhythm.full_asked or standing.scope_grew:
        return "full"
    overdue = rhythm.sweep and standing.swept_at and now >= standing.swept_at + rhythm.sweep
    return "sweep" if rhythm.sweep_asked or overdue else None


def _changes_due(now: datetime, standing: Standing, rhythm: Rhythm) -> datetime:
    """From when on changes are asked for. A hint brings that forward, and a clock that was set back does not put it off."""
    if standing.changes_at is None or now < standing.changes_at:
        return now
    return standing.changes_at + (min(rhythm.hint, rhythm.poll) if standing.hinted else rhythm.poll)


def _go_on(walk: Walk, standing: Standing) -> Step | None:
    """The next step of an open walk: its list, its wants, its suspects, its end; None while its wants have to wait.

    The list comes first because it is short and says how much there is to ask, so that progress has an end in sight; but where its
    next page fails again and again, what it has shown does not wait for it.
    """
    asks = standing.asks.get(walk.id)
    if not walk.listed and not (asks and walk.kind != "changes" and walk.tries >= MOST_TRIES):
        return Turn(walk)
    if asks:
        return Ask(walk, asks)
    if walk.kind != "changes" and not walk.concluded:
        return Conclude(walk)
    return None if walk.id in standing.waiting else Finish(walk)


def _is_retry(step: Step) -> bool:
    """Whether nothing is left to ask but what failed before: that must not keep newer changes waiting."""
    return isinstance(step, Ask) and step.batches[0][0].not_before is not None


def _next_time(now: datetime, standing: Standing, rhythm: Rhythm) -> datetime | None:
    """When the next walk or look-up falls due."""
    times = list(standing.waiting.values())
    if standing.changes_at:
        times.append(_changes_due(now, standing, rhythm))
    if standing.swept_at and rhythm.sweep:
        times.append(standing.swept_at + rhythm.sweep)
    return min(times, default=None)
