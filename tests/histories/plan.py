"""What a history is made of, drawn from its seed before anything happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from syncjob.sandbox import Kind, Switches
from tests.histories.changes import MAIL_VERBS, TASK_VERBS
from tests.walks.bench import TUESDAY

LIES = (Kind.PREVIOUS_PAGE, Kind.DATE_SKEWED, Kind.FORBIDDEN, Kind.EMPTY_LIST, Kind.ROWS_MISSING)
"""Answers that look right and are wrong: what was missed because of them is found by a sweep, not by a poll."""
FAULTS = tuple(kind for kind in Kind if kind not in (*LIES, Kind.NOT_FOUND))
HOLLOW = (Kind.LOGIN_PAGE, Kind.EMPTY_OBJECT, Kind.WRONG_TYPE, Kind.EMPTY_LIST, Kind.ROWS_MISSING)
"""Answers with 200 that hold less than there is."""
WHIMS = 0.35
"""Of the histories, how many are about a few things that happen again and again: what is rare comes together there."""
SWEEPS = True
NET_SHARE, POSTGRES_SHARE, THREAD_SHARE, HIDDEN_SHARE = 0.03, 0.05, 0.3, 0.05
"""Of the histories, how many have what takes longer, short pages of messages, and pages that what one may not see makes shorter. Drawn
apart, so that the others stay what they are."""
STUCK_SHARE = 0.15
"""Of the histories, how many have a page that cannot be had for some cycles, whatever else can. Drawn apart, too."""
STUCK = {
    "teamwork": (
        ("", "deletedOnly=true"), (r"/(tags|people|companies|teams)\.json$", ""), (r"/(projects|tasklists)\.json$", ""),
        (r"/tasks\.json$", "^(?!ids=).*page=2"), (r"/tasks/\d+\.json$", "^hideDeleted=true$"), (r"/tasks\.json$", "updatedAfter="),
    ),
    "missive": (("", "trashed=true"), ("", "junked=true"), ("/conversations$", "all=true.*until="), ("/conversations$", "all=true")),
}  # fmt: skip
"""Such pages, as path and query."""
LISTS = r"/tasks\.json$|/conversations$"
BY_ID = r"/tasks/\d+\.json|/messages/|/conversations/[0-9a-f-]+$"


@dataclass(frozen=True, slots=True)
class Plan:
    """The world, the switches, and how often what goes wrong."""

    seed: int
    faces: tuple[str, ...]
    tasks: int
    conversations: int
    messages_each: int
    switches: Switches
    turned: Mapping[str, Any] = field(default_factory=dict)
    process_after: date | None = None
    cycles: int = 6
    changes: float = 4.0
    pauses: tuple[int, ...] = (0, 1, 7)  # seconds between two changes
    meanwhile: float = 0.0  # the share of requests before which the world changes
    fault_rate: float = 0.0
    kinds: tuple[str, ...] = ()
    favourites: tuple[str, ...] = ()  # changes that come many times as often
    tries: int = 2
    crashes: float = 0.0  # the share of cycles with a crash in them
    disasters: float = 0.0  # the share of cycles before which something is set back or lost
    outages: float = 0.0  # the share of cycles in which every list answers something else
    stuck: tuple[str, ...] = ()  # a page that cannot be had: face, path, query, and what comes instead
    stuck_from: int = 0  # since which cycle, for
    stuck_for: int = 0  # so many cycles
    offset: float = 0.0
    share: float = 0.25
    tick: float = 0.2
    ending: str = "sweep"
    ties: int = 0
    hidden: float = 0.0  # the share of conversations that one may not see when it begins
    pages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    net: bool = False  # whether the sources are asked over real HTTP
    postgres: bool = False  # whether there is a real PostgreSQL, too


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = Random(f"history {seed}")
    faces = rng.choice((("teamwork", "missive"), ("teamwork", "missive"), ("teamwork",), ("missive",)))
    turned = _turned(rng, faces)
    cut = turned.get("missive_ties") == "cut"  # then more than a page of one second is out of the API's reach
    lies = rng.random() < 0.2
    plan = Plan(
        seed, faces,
        tasks=_few(rng, 60) if "teamwork" in faces else 0,
        conversations=_few(rng, 30) if "missive" in faces else 0,
        messages_each=rng.choice((1, 2, 3, 3, 8)),
        switches=replace(Switches(), **turned),
        turned=turned,
        process_after=_day(rng) if rng.random() < 0.2 else None,
        cycles=rng.randint(2, 8),
        changes=rng.choice((1, 3, 3, 8)),
        meanwhile=rng.choice((0, 0, 0.05, 0.2, 0.5)),
        fault_rate=rng.choice((0, 0, 0.03, 0.1, 0.3)),
        kinds=FAULTS + LIES if lies else FAULTS,
        tries=rng.choice((1, 2, 5)),
        crashes=rng.choice((0, 0, 0.3, 0.8)),
        disasters=rng.choice((0, 0, 0, 0.2)),
        offset=rng.choice((0, 0, 0, 0, 30, -30, 600, -600, 18_000, -18_000)),
        tick=rng.choice((0, 0.2, 0.2, 3)),
        ending=rng.choice(("sweep", "sweep", "full")),
        ties=rng.choice((0, 0, 0, 3, 3 if cut else 12)),
        pages={} if cut else _pages(rng),
        net=Random(f"net {seed}").random() < NET_SHARE,
        postgres=Random(f"postgres {seed}").random() < POSTGRES_SHARE,
    )  # fmt: skip
    if not cut:
        plan = _with_hidden(_with_short_pages(plan, Random(f"threads {seed}")), Random(f"hidden {seed}"))
    return _with_whims(_with_stuck(plan, Random(f"stuck {seed}")), Random(f"whims {seed}"))  # drawn apart, so that the others stay


def _with_whims(plan: Plan, rng: Random) -> Plan:
    if rng.random() >= WHIMS:
        return plan
    lags = {f"{face}_lag_seconds": rng.choice((0, 0, 30, 60)) for face in plan.faces}
    return replace(
        plan,
        switches=replace(plan.switches, **lags),
        turned=plan.turned | lags,
        kinds=(rng.choice(HOLLOW), rng.choice(FAULTS)),
        fault_rate=rng.choice((plan.fault_rate, 0.2)),
        disasters=rng.choice((plan.disasters, 0.3)),
        outages=0.4,
        pauses=(0, 1, 7, 300),  # longer than the overlap
        favourites=tuple(rng.sample([*TASK_VERBS, *MAIL_VERBS], 8)),
    )


def _pages(rng: Random) -> dict[str, dict[str, int]]:
    """Small pages, so that small worlds have many."""
    few = rng.choice((3, 4, 10))  # more than the smallest page that Missive allows, which is used to probe
    small = {"teamwork": {"PAGE_SIZE": few, "GLIMPSE_SIZE": few + 1, "FETCH_SIZE": few}, "missive": {"LIST_LIMIT": few, "BODIES": few}}
    return rng.choice(({}, small))


def _with_short_pages(plan: Plan, rng: Random) -> Plan:
    """Conversations of many pages are too rare else."""
    if "missive" not in plan.faces or rng.random() >= THREAD_SHARE:
        return plan
    return replace(plan, pages={**plan.pages, "threads": {"THREAD_LIMIT": rng.choice((3, 4))}})


def _with_hidden(plan: Plan, rng: Random) -> Plan:
    """Conversations that one may not see leave gaps in many pages."""
    if "missive" not in plan.faces or rng.random() >= HIDDEN_SHARE:
        return plan
    gaps, pages = {"missive_permission_shortens": True}, {"missive": {"LIST_LIMIT": rng.choice((3, 4)), "BODIES": 4}}
    return replace(plan, switches=replace(plan.switches, **gaps), turned=plan.turned | gaps, hidden=0.4, pages={**plan.pages, **pages})


def _with_stuck(plan: Plan, rng: Random) -> Plan:
    if rng.random() >= STUCK_SHARE:
        return plan
    face = rng.choice(plan.faces)
    stuck = face, *rng.choice(STUCK[face]), rng.choice((Kind.ERROR_HTML, Kind.TOO_LARGE, Kind.LOGIN_PAGE, Kind.EMPTY_OBJECT))
    return replace(plan, stuck=stuck, stuck_from=rng.randrange(3), stuck_for=rng.choice((2, 4, 6, 12)), cycles=max(plan.cycles, 7))


def _few(rng: Random, most: int) -> int:
    return rng.choice((0, 1, rng.randint(2, most // 4), rng.randint(2, most // 4), rng.randint(2, most // 2), most))


def _turned(rng: Random, faces: tuple[str, ...]) -> dict[str, Any]:
    """A few switches out of their most likely position; in some histories many."""
    choices = {name: positions for name, positions in Switches.choices().items() if name.startswith(faces)}
    count = rng.choice((0, 1, 2, 4, 4, 12))
    return {name: rng.choice(choices[name][1:]) for name in rng.sample(sorted(choices), count)}


def _day(rng: Random) -> date:
    return (datetime.fromtimestamp(TUESDAY, UTC) - timedelta(days=rng.choice((0, 30, 150, 250)))).date()


def told(plan: Plan) -> str:
    """The plan in one line: what is not as usual."""
    usual = {each.name: each.default for each in fields(Plan)}
    return ", ".join(
        f"{name}={value}" for name in Plan.__slots__ if name not in ("switches", "kinds") and (value := getattr(plan, name)) != usual[name]
    )
