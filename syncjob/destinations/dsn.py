"""What a user sets as PG_DSN. Apart from `postgres`, which brings a driver that only its users need."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from syncjob.core.errors import ConfigError

QUOTING = "in a password write @ as %40, : as %3A, / as %2F, % as %25"


def postgres_url(dsn: str) -> URL:
    """The URL for SQLAlchemy of what a user sets as PG_DSN: `postgresql://…` or `postgres://…`."""
    problem = ConfigError("PG_DSN cannot be read", hint="write it as postgresql://user:password@host:5432/database; " + QUOTING)
    scheme, _, rest = dsn.strip().partition("://")
    if scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
        raise problem
    try:
        url = make_url(f"postgresql+psycopg2://{rest}")
    except (ArgumentError, ValueError):
        raise problem from None
    if "@" in (url.host or ""):  # the rest of a password with an @ in it
        raise problem
    return url
