"""Settings: flag over environment over `.env` over default, and every problem told at once."""

import base64
import difflib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from syncjob.core.errors import ConfigError

BACKENDS = ("sqlite", "postgres", "airtable")
AIRTABLE, AIRTABLE_CONTENT = "https://api.airtable.com", "https://content.airtable.com"
DEMO = "python -m syncjob demo"

YEAR_SECONDS = 366 * 86_400
SHORTEST_SECRET = 4
"""Shorter values are no keys, and hiding them would garble every text that has these letters."""


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a web address like https://example.com")
    if parts.username is not None:
        raise ValueError("must not contain a user or a password")
    return value.removesuffix("/")


def _ping_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a web address like https://example.com/ping")
    return value


def _day(value: str) -> datetime:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise ValueError
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date like 2026-01-31") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _backends(value: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in value.split(","))
    if set(names) - set(BACKENDS) or len(set(names)) < len(names):
        raise ValueError(f"must be some of {', '.join(BACKENDS)}, each once, separated by commas")
    return names


def _windows(value: str) -> tuple[tuple[int, int], ...]:
    pairs = [re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", word) for word in value.split()]
    if None in pairs:
        raise ValueError("must be requests/seconds like 150/60, or several of them like 300/60 900/900")
    return tuple((int(pair[1]), int(pair[2])) for pair in pairs if pair)


def _dsn(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    try:
        urlsplit(value)
    except ValueError:
        raise ValueError("must be like postgresql://user:password@host/database") from None
    return value


WebAddress = Annotated[str, BeforeValidator(_web_address)]
Day = Annotated[datetime, BeforeValidator(_day)]
Windows = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_windows)]
Seconds = Annotated[float, Field(gt=0, le=YEAR_SECONDS)]
MaybeNoSeconds = Annotated[float, Field(ge=0, le=YEAR_SECONDS)]


class Settings(BaseModel):
    """What the environment says (DESIGN, section 8); names are the variables' in lower case. Paths are absolute."""

    model_config = ConfigDict(frozen=True)

    teamwork_base_url: WebAddress | None = None
    teamwork_api_key: SecretStr | None = None
    missive_api_token: SecretStr | None = None
    missive_base_url: WebAddress = "https://public.missiveapp.com/v1"
    teamwork_process_after: Day | None = None
    missive_process_after: Day | None = None
    db_backend: Annotated[tuple[str, ...], BeforeValidator(_backends)] = ("sqlite",)
    sqlite_path: Path | None = None
    pg_dsn: Annotated[SecretStr, BeforeValidator(_dsn)] | None = None
    pg_schema: str = "public"
    airtable_api_key: SecretStr | None = None
    airtable_base_id: str | None = None
    airtable_emails_table: str = "Emails"
    airtable_tasks_table: str = "Tasks"
    airtable_base_url: WebAddress = AIRTABLE
    airtable_content_url: WebAddress | None = None
    airtable_deliver_seconds: MaybeNoSeconds = 0
    airtable_monthly_calls: Annotated[int, Field(ge=1)] | None = None
    attachments: Annotated[Literal["off", "metadata", "files"], BeforeValidator(str.lower)] = "metadata"
    attachments_dir: Path | None = None
    attachment_max_bytes: Annotated[int, Field(ge=1)] = 25_000_000
    syncjob_state_dir: Path = Path("state")
    poll_interval_seconds: Seconds = 60
    backfill_overlap_seconds: MaybeNoSeconds = 120
    sweep_interval_seconds: Seconds = 21600
    history_days: Annotated[float, Field(gt=0, le=36_500)] = 90
    stale_after_seconds: Seconds = 900
    quiet_after_seconds: Seconds = 259_200
    heartbeat_url: Annotated[SecretStr, BeforeValidator(_ping_address)] | None = None
    hint_min_interval_seconds: MaybeNoSeconds = 5
    teamwork_webhook_secret: SecretStr | None = None
    missive_webhook_secret: SecretStr | None = None
    once_max_seconds: Seconds | None = None
    max_delete_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    teamwork_rate_limit: Windows | None = None
    missive_rate_limit: Windows = ((300, 60), (900, 900))
    airtable_rate_limit: Windows = ((5, 1),)
    http_retries: Annotated[int, Field(ge=1, le=100)] = 5
    http_backoff_seconds: Annotated[float, Field(ge=0, le=3600)] = 1
    http_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    log_format: Annotated[Literal["text", "json"], BeforeValidator(str.lower)] = "text"
    log_file: Path | None = None
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / self.syncjob_state_dir.expanduser()

    @property
    def sqlite_file(self) -> Path:
        """The file of the SQLite destination."""
        return self.folder / self.sqlite_path.expanduser() if self.sqlite_path else self.state / "data.db"

    @property
    def attachments_folder(self) -> Path:
        """Where files of attachments are kept."""
        return self.folder / self.attachments_dir.expanduser() if self.attachments_dir else self.state / "attachments"

    @property
    def log_path(self) -> Path | None:
        """The log's file."""
        return self.folder / self.log_file.expanduser() if self.log_file else None

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have a key."""
        keys = {"teamwork": self.teamwork_api_key, "missive": self.missive_api_token}
        return tuple(name for name, key in keys.items() if key)

    @property
    def airtable_content(self) -> str:
        """Where Airtable takes files; it goes where the API goes, unless it is set itself."""
        return self.airtable_content_url or (AIRTABLE_CONTENT if self.airtable_base_url == AIRTABLE else self.airtable_base_url)

    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown, in each form in which it could appear, longest first."""
        keys = (
            self.teamwork_api_key, self.missive_api_token, self.airtable_api_key, self.pg_dsn,
            self.heartbeat_url, self.teamwork_webhook_secret, self.missive_webhook_secret,
        )  # fmt: skip
        whole = {key.get_secret_value() for key in keys if key}
        if self.pg_dsn and (password := urlsplit(self.pg_dsn.get_secret_value()).password):
            whole |= {password, unquote(password)}
        if self.teamwork_api_key:
            whole.add(base64.b64encode(f"{self.teamwork_api_key.get_secret_value()}:x".encode()).decode())
        forms = {form for value in whole for form in _forms(value)}
        return tuple(sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=lambda form: (-len(form), form)))


def _forms(value: str) -> tuple[str, ...]:
    """A secret as it looks in text, in an address, in a header, in JSON and in Python."""
    return value, quote(value), quote(value, safe=""), base64.b64encode(value.encode()).decode(), json.dumps(value)[1:-1], repr(value)[1:-1]


NAMES = tuple(name.upper() for name in Settings.model_fields if name != "folder")
SECRET = ("API_KEY", "API_TOKEN", "DSN", "WEBHOOK_SECRET", "HEARTBEAT_URL")


def load(environ: Mapping[str, str], *, cwd: Path, flags: Mapping[str, str] | None = None, need_source: bool = True) -> Settings:
    """The settings of this run; `flags` maps variables to what the command line says. Raises ConfigError listing all that is wrong."""
    env_file = cwd / ".env"
    written = _written(env_file)
    values = {name: value for name in NAMES if (value := _first(name, flags or {}, environ, written))}
    problems = _misspelled(written) + _incomplete(values)
    try:
        settings = Settings.model_validate({name.lower(): value for name, value in values.items()} | {"folder": cwd.absolute()})
    except ValidationError as error:
        problems += [_told(problem, values) for problem in error.errors(include_url=False)]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        hint = f"set them in {env_file} or in the environment; config/.env.example shows them all"
        raise ConfigError(f"the settings need mending:\n{lines}", hint=hint)
    if need_source and not settings.sources:
        raise ConfigError(
            "no source is configured: set TEAMWORK_BASE_URL and TEAMWORK_API_KEY, or MISSIVE_API_TOKEN",
            hint=f"put them into {env_file} (config/.env.example shows all settings); to see the job run without any key: {DEMO}",
        )
    return settings


def _first(name: str, *layers: Mapping[str, str]) -> str:
    """The first value of a variable that is not empty."""
    return next((value for layer in layers if (value := layer.get(name, "").strip())), "")


def _written(env_file: Path) -> dict[str, str]:
    """What the `.env` file says, word for word: no `${NAME}` in it is replaced, since a password may look like one."""
    try:
        return {name: value or "" for name, value in dotenv_values(env_file, interpolate=False).items()}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{env_file} cannot be read ({error.__class__.__name__})", hint="make it a readable text file in UTF-8") from None


def _incomplete(values: Mapping[str, str]) -> list[str]:
    """What belongs together must be there together."""
    backends = values.get("DB_BACKEND", "").lower()
    needs = [("TEAMWORK_BASE_URL", "TEAMWORK_API_KEY"), ("TEAMWORK_API_KEY", "TEAMWORK_BASE_URL")]
    missing = [f"{other} is missing ({one} is set)" for one, other in needs if one in values and other not in values]
    for backend, names in (("postgres", ("PG_DSN",)), ("airtable", ("AIRTABLE_API_KEY", "AIRTABLE_BASE_ID"))):
        if backend in backends:
            missing += [f"{name} is missing (DB_BACKEND has {backend})" for name in names if name not in values]
    return missing


def _told(problem: Any, values: Mapping[str, str]) -> str:
    """One problem as a person reads it: the variable, its value unless it is or holds a secret, and what is wrong."""
    name = str(problem["loc"][0]).upper()
    value = values[name]
    holds_key = any(secret in value for other, secret in values.items() if other.endswith(SECRET))
    shown = "" if holds_key or "@" in value else f"={value[:100]}"
    wrong = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}{shown}: {wrong[0].lower()}{wrong[1:]}"


def _misspelled(written: Mapping[str, str]) -> list[str]:
    """Variables of the `.env` file that nobody reads but that look like ours."""
    close = {name: difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=0.85) for name in written if name not in NAMES}
    return [f"{name} in .env is not known; did you mean {match[0]}?" for name, match in close.items() if match]
