"""The job, put together from its settings."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from syncjob.blobs import Blobs
from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, TASKS
from syncjob.core.ports import Destination, Source
from syncjob.core.steps import Rhythm
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart
from syncjob.destinations import AirtableApi, AirtableDestination, AirtableFiles, SqlDestination, postgres_url, sqlite_url
from syncjob.drive import WallClock
from syncjob.files import FilesPart
from syncjob.http.limits import SHARES, WHOLE, Limiter, Window
from syncjob.http.wire import open_session
from syncjob.memory import keep_for_good, return_large_blocks
from syncjob.settings import Settings
from syncjob.sources.api import Api, basic, bearer
from syncjob.sources.missive import Missive
from syncjob.sources.teamwork import Teamwork
from syncjob.spool import Spool
from syncjob.store import LedgerOf, Store

TEAMWORK_WINDOW = Window(150, 60)
"""Teamwork's documented limit, until its own headers name another: https://apidocs.teamwork.com (rate limits)."""


DOWNLOAD_SECONDS = 1800.0
"""What one file may take in all; a silence ends it sooner."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line asks of one run. Empty `sources` or `destinations`: all that are configured."""

    full: bool = False
    sweep: bool = False
    allow_deletes: bool = False
    new_identity: bool = False
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """All parts of a run, on one store."""

    store: Store
    sources: Sequence[SourcePart]
    destinations: Sequence[DestinationPart]
    apis: Sequence[tuple[str, Api]]
    files: FilesPart | None = None
    under_way: dict[str, float] = field(default_factory=dict)
    """Since when each part is at the step that it is at."""

    def close(self) -> None:
        """Let go of connections and files."""
        for _, api in self.apis:
            api.close()
        for part in self.destinations:
            part.destination.close()
        if self.files:
            self.files.close()
        self.store.close()


def build(settings: Settings, choices: Choices, stop: threading.Event) -> Job:
    """The parts that these settings and choices name. Raises ConfigError for a name that is not configured."""
    if choices.new_identity and not choices.full:
        raise ConfigError(
            "--new-identity alone would mix two users' records",
            hint="to read everything anew: python -m syncjob once --full-resync --new-identity",
        )
    _check_names("source", choices.sources, settings.sources, "--source")
    keep_for_good()
    return_large_blocks()
    clock = WallClock(stop)
    chosen_destinations(settings, choices.destinations)
    store = Store(settings.state / "mirror.db")
    readers = destinations(settings, choices.destinations, clock, store)
    chosen = [name for name in settings.sources if name in choices.sources or not choices.sources]
    apis = [(name, APIS[name](settings, clock)) for name in chosen]
    sources = [_source_part(settings, choices, store, clock, SOURCES[name](settings), api) for name, api in apis]
    rests = {"airtable": timedelta(seconds=settings.airtable_deliver_seconds)}
    parts = [DestinationPart(each, store, clock, every=rests.get(each.name, timedelta())) for each in readers]
    return Job(store, sources, parts, apis, _files_part(settings, [*chosen, *(each.name for each in readers)], store, clock))


def destinations(settings: Settings, chosen: Sequence[str], clock: WallClock, store: Store) -> Sequence[Destination]:
    """The chosen destinations, or all. Raises ConfigError for a name that is not configured."""
    return [DESTINATIONS[name](settings, clock, store) for name in chosen_destinations(settings, chosen)]


def chosen_destinations(settings: Settings, chosen: Sequence[str]) -> Sequence[str]:
    """The names of the chosen destinations, or of all. Raises ConfigError for one that is not configured."""
    _check_names("destination", chosen, settings.db_backend, "--destination")
    return [name for name in settings.db_backend if name in chosen or not chosen]


def _files_part(settings: Settings, names: Sequence[str], store: Store, clock: WallClock) -> FilesPart | None:
    """The part that takes care of attachments' files; None: nobody wants any."""
    keep, show = settings.attachments == "files", settings.attachments != "off" and "airtable" in names
    if "missive" not in names or not (keep or show):
        return None
    blobs = Blobs(
        settings.attachments_folder, lambda: open_session(clock, DOWNLOAD_SECONDS), most=settings.attachment_max_bytes,
        timeout=settings.http_timeout_seconds,
    )  # fmt: skip
    shown = AirtableFiles(_airtable_api(settings, clock, store), LedgerOf(store, "airtable")) if show else None
    most = settings.attachment_max_bytes
    return FilesPart(_missive_api(settings, clock), store, blobs, clock, keep=keep, most=most, shown=shown)


def _check_names(what: str, asked: Sequence[str], known: Sequence[str], flag: str) -> None:
    if unknown := set(asked) - set(known):
        raise ConfigError(
            f"{what} {', '.join(sorted(unknown))} is not configured", hint=f"{flag} takes one of: {', '.join(known) or 'none'}"
        )


def _source_part(settings: Settings, choices: Choices, store: Store, clock: WallClock, source: Source, api: Api) -> SourcePart:
    rhythm = Rhythm(
        timedelta(seconds=settings.poll_interval_seconds), timedelta(seconds=settings.sweep_interval_seconds), full_asked=choices.full,
        hint=timedelta(seconds=settings.hint_min_interval_seconds),
        sweep_asked=choices.sweep or choices.allow_deletes,
    )  # fmt: skip
    return SourcePart(
        source, api.get, store, Spool(settings.state / "spool" / source.name), clock, rhythm,
        access=_access(settings, source.name),
        overlap=timedelta(seconds=settings.backfill_overlap_seconds),
        process_after=getattr(settings, f"{source.name}_process_after"),
        share=settings.max_delete_share,
        allow_deletes=choices.allow_deletes,
        new_identity=choices.new_identity,
    )  # fmt: skip


def _access(settings: Settings, source: str) -> str:
    """A fingerprint of the key and the URL: as long as it is the same, nobody asks whose key it is."""
    key = settings.teamwork_api_key if source == "teamwork" else settings.missive_api_token
    text = f"{getattr(settings, f'{source}_base_url')} {key.get_secret_value() if key else ''}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _teamwork_api(settings: Settings, clock: WallClock) -> Api:
    windows = _windows(settings.teamwork_rate_limit) or (TEAMWORK_WINDOW,)
    limiter = Limiter(windows, SHARES, clock, _log(settings, "teamwork"), learns=settings.teamwork_rate_limit is None)
    key = settings.teamwork_api_key
    return _api(
        "teamwork",
        settings.teamwork_base_url or "",
        basic(key.get_secret_value() if key else ""),
        limiter,
        settings,
        clock,
        "TEAMWORK_API_KEY",
    )


def _log(settings: Settings, name: str) -> Path | None:
    """Where all processes note their requests; nowhere while there is no state folder, since `check` makes none."""
    return settings.state / f"{name}.limits" if settings.state.is_dir() else None


def _missive_api(settings: Settings, clock: WallClock) -> Api:
    limiter = Limiter(_windows(settings.missive_rate_limit), SHARES, clock, _log(settings, "missive"))
    token = settings.missive_api_token
    return _api(
        "missive",
        settings.missive_base_url,
        bearer(token.get_secret_value() if token else ""),
        limiter,
        settings,
        clock,
        "MISSIVE_API_TOKEN",
    )


def _api(name: str, url: str, auth: dict[str, str], limiter: Limiter, settings: Settings, clock: WallClock, key_setting: str) -> Api:
    return Api(
        name, url, auth, limiter, clock, key_setting=key_setting, tries=settings.http_retries,
        backoff=settings.http_backoff_seconds, timeout=settings.http_timeout_seconds,
    )  # fmt: skip


def _windows(pairs: Sequence[tuple[int, int]] | None) -> tuple[Window, ...]:
    return tuple(Window(*pair) for pair in pairs or ())


def _sqlite(settings: Settings, clock: WallClock, store: Store) -> Destination:
    return SqlDestination("sqlite", sqlite_url(settings.sqlite_file), clock=clock)


def _postgres(settings: Settings, clock: WallClock, store: Store) -> Destination:
    dsn = settings.pg_dsn
    return SqlDestination("postgres", postgres_url(dsn.get_secret_value() if dsn else ""), schema=settings.pg_schema, clock=clock)


def airtable(settings: Settings, clock: WallClock, store: Store) -> AirtableDestination:
    """The Airtable destination, which keeps its books in the store."""
    tables = {EMAILS: settings.airtable_emails_table, TASKS: settings.airtable_tasks_table}
    return AirtableDestination(
        _airtable_api(settings, clock, store), LedgerOf(store, "airtable"), clock,
        base=settings.airtable_base_id or "", tables=tables, files=settings.attachments != "off",
    )  # fmt: skip


def _airtable_api(settings: Settings, clock: WallClock, store: Store) -> AirtableApi:
    limiter = Limiter(_windows(settings.airtable_rate_limit), WHOLE, clock, _log(settings, "airtable"))
    key, ledger = settings.airtable_api_key, LedgerOf(store, "airtable")
    return AirtableApi(
        key.get_secret_value() if key else "", settings.airtable_base_id or "", limiter, clock, ledger, url=settings.airtable_base_url,
        content_url=settings.airtable_content, tries=settings.http_retries, backoff=settings.http_backoff_seconds,
        timeout=settings.http_timeout_seconds, monthly_calls=settings.airtable_monthly_calls,
    )  # fmt: skip


APIS: dict[str, Callable[[Settings, WallClock], Api]] = {"teamwork": _teamwork_api, "missive": _missive_api}
SOURCES: dict[str, Callable[[Settings], Source]] = {
    "teamwork": lambda settings: Teamwork(settings.teamwork_base_url or "", settings.teamwork_process_after),
    "missive": lambda settings: Missive(settings.missive_process_after),
}
DESTINATIONS: dict[str, Callable[[Settings, WallClock, Store], Destination]] = {
    "sqlite": _sqlite, "postgres": _postgres, "airtable": airtable,
}  # fmt: skip
