"""Settings: flag over environment over `.env` over default, and every problem told at once."""

import base64
import difflib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from syncjob.core.errors import ConfigError

BACKENDS = ("sqlite", "postgres", "airtable")
SHORTEST_SECRET = 6
"""Shorter values are no keys, and hiding them would garble every text that has these letters."""
DEMO = "python -m syncjob demo"


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a web address like https://example.com")
    return value.rstrip("/")


def _day(value: str) -> datetime:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date like 2026-01-31") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _backends(value: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    if not names or set(names) - set(BACKENDS) or len(set(names)) < len(names):
        raise ValueError(f"must be some of {', '.join(BACKENDS)}, each once, separated by commas")
    return tuple(names)


def _windows(value: str) -> tuple[tuple[int, int], ...]:
    try:
        windows = tuple((int(limit), int(seconds)) for limit, seconds in (word.split("/") for word in value.split()))
    except ValueError:
        windows = ()
    if not windows or min(min(window) for window in windows) < 1:
        raise ValueError("must be requests/seconds like 150/60, or several of them like 300/60 900/900")
    return windows


def _dsn(value: str) -> SecretStr:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return SecretStr(value)


WebAddress = Annotated[str, BeforeValidator(_web_address)]
Day = Annotated[datetime, BeforeValidator(_day)]
Windows = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_windows)]
Positive = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """What the environment says (DESIGN, section 8); names are the variables' in lower case."""

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
    airtable_base_url: WebAddress = "https://api.airtable.com"
    airtable_content_url: WebAddress | None = None
    airtable_deliver_seconds: Annotated[float, Field(ge=0)] = 0
    syncjob_state_dir: Path = Path("state")
    poll_interval_seconds: Positive = 60
    backfill_overlap_seconds: Annotated[float, Field(ge=0)] = 120
    sweep_interval_seconds: Positive = 21600
    once_max_seconds: Positive | None = None
    max_delete_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    teamwork_rate_limit: Windows | None = None
    missive_rate_limit: Windows = ((300, 60), (900, 900))
    airtable_rate_limit: Windows = ((5, 1),)
    http_retries: Annotated[int, Field(ge=1, le=100)] = 5
    http_backoff_seconds: Annotated[float, Field(ge=0)] = 1
    http_timeout_seconds: Positive = 60
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def state(self) -> Path:
        """The state folder, absolute."""
        return self.folder / self.syncjob_state_dir

    @property
    def sqlite_file(self) -> Path:
        """The file of the SQLite destination, absolute."""
        return self.folder / self.sqlite_path if self.sqlite_path else self.state / "data.db"

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have a key."""
        keys = {"teamwork": self.teamwork_api_key, "missive": self.missive_api_token}
        return tuple(name for name, key in keys.items() if key)

    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown, in each form in which it could appear."""
        whole = [key.get_secret_value() for key in (self.teamwork_api_key, self.missive_api_token, self.airtable_api_key, self.pg_dsn) if key]
        if self.pg_dsn and (password := urlsplit(self.pg_dsn.get_secret_value()).password):
            whole += [password, unquote(password)]
        if self.teamwork_api_key:
            whole.append(base64.b64encode(f"{self.teamwork_api_key.get_secret_value()}:x".encode()).decode())
        forms = {form for value in whole for form in (value, quote(value, safe=""), base64.b64encode(value.encode()).decode())}
        return tuple(sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True))


NAMES = tuple(name.upper() for name in Settings.model_fields if name != "folder")
SECRET = ("KEY", "TOKEN", "DSN", "SECRET", "PASSWORD")


def load(environ: Mapping[str, str], *, cwd: Path, need_source: bool = True) -> Settings:
    """The settings of this run. Raises ConfigError that lists everything that is wrong."""
    env_file = cwd / ".env"
    written = {name: value or "" for name, value in dotenv_values(env_file).items()} if env_file.is_file() else {}
    values = {name: value for name in NAMES if (value := environ.get(name, written.get(name, "")).strip())}
    problems = _misspelled(written) + _incomplete(values)
    settings = None
    try:
        settings = Settings.model_validate({name.lower(): value for name, value in values.items()} | {"folder": cwd.resolve()})
    except ValidationError as error:
        problems += [_told(problem, values) for problem in error.errors(include_url=False)]
    if problems or settings is None:
        raise ConfigError("\n".join(["the settings need mending:", *(f"  {line}" for line in problems)]), hint=f"set them in {env_file} or in the environment")
    if need_source and not settings.sources:
        raise ConfigError(
            "no source is configured: set TEAMWORK_BASE_URL and TEAMWORK_API_KEY, or MISSIVE_API_TOKEN",
            hint=f"put them into {env_file} (config/.env.example shows all settings); to see the job run without any key: {DEMO}",
        )
    return settings


def _incomplete(values: Mapping[str, str]) -> list[str]:
    """What belongs together must be there together."""
    missing = []
    for one, other in (("TEAMWORK_BASE_URL", "TEAMWORK_API_KEY"), ("TEAMWORK_API_KEY", "TEAMWORK_BASE_URL")):
        if one in values and other not in values:
            missing.append(f"{other} is missing ({one} is set)")
    for backend, names in (("postgres", ("PG_DSN",)), ("airtable", ("AIRTABLE_API_KEY", "AIRTABLE_BASE_ID"))):
        if backend in values.get("DB_BACKEND", "").lower():
            missing += [f"{name} is missing (DB_BACKEND has {backend})" for name in names if name not in values]
    return missing


def _told(problem: Any, values: Mapping[str, str]) -> str:
    """One problem as a person reads it: the variable, its value unless it is secret, and what is wrong."""
    name = str(problem["loc"][0]).upper()
    shown = "" if any(word in name for word in SECRET) else f"={values.get(name, '')}"
    return f"{name}{shown}: {str(problem['msg']).removeprefix('Value error, ')}"


def _misspelled(written: Mapping[str, str]) -> list[str]:
    """Variables of the `.env` file that nobody reads but that look like ours."""
    close = {name: difflib.get_close_matches(name, NAMES, n=1, cutoff=0.85) for name in written if name not in NAMES}
    return [f"{name} in .env is not known; did you mean {match[0]}?" for name, match in close.items() if match]
