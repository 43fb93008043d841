"""What only PostgreSQL does."""

import random
import traceback

import pytest

from syncjob.core.errors import ConfigError, Rejected, SyncjobError, Transient
from syncjob.core.model import TASKS, Receipt
from syncjob.destinations import SqlDestination, postgres, postgres_url
from tests.contracts.places import HandClock, Place, at, attachment, deliver, email, postgres_place, ready, rows, task, told
from tests.postgres import PASSWORD, PostgresServer, execute


def test_two_writers_do_not_interleave_on_postgres(fresh_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    place = postgres_place(fresh_postgres)
    destination = ready(place)
    other = postgres.Postgres(postgres_url(fresh_postgres), "public")
    engine = other.engine()
    with engine.begin() as conn:
        other.begin(conn, write=True)
        with pytest.raises(Transient, match="another program is writing"):
            deliver(destination, task())
        assert list(destination.rows(TASKS)) == []
    engine.dispose()
    assert deliver(destination, task()) == Receipt(1)
    place.close()


def test_a_server_that_is_down_is_transient_and_recovers(postgres_server: PostgresServer) -> None:
    destination = SqlDestination("postgres", postgres_url(postgres_server.dsn), schema="down", clock=HandClock())
    destination.prepare()
    deliver(destination, task("1"), seq=1)
    postgres_server.stop()
    try:
        for attempt in (lambda: deliver(destination, task("2"), seq=2), destination.prepare, lambda: list(destination.rows(TASKS))):
            with pytest.raises(Transient, match="cannot be reached") as raised:
                attempt()
            assert PASSWORD not in told(raised.value)
    finally:
        postgres_server.start()
    assert deliver(destination, task("2"), seq=2) == Receipt(1)
    assert destination.prepare() == at(2)
    assert [row["task_id"] for row in destination.rows(TASKS)] == ["1", "2"]
    destination.close()


def test_a_restart_between_two_batches_is_not_noticed(postgres_server: PostgresServer) -> None:
    destination = SqlDestination("postgres", postgres_url(postgres_server.dsn), schema="restarted", clock=HandClock())
    destination.prepare()
    postgres_server.stop()
    postgres_server.start()
    assert deliver(destination, task()) == Receipt(1)
    destination.close()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (PASSWORD, "wrong-secret", "refused the user or the password"),
        (f":{PASSWORD}@", "@", "refused the user or the password"),
        ("postgres:", "nobody-here:", "refused the user or the password"),
        ("/postgres?", "/no_such_database?", "does not have the database"),
        ("?", "?schema=x&", "options of PG_DSN"),
        ("?", "?sslmode=wrong&", "options of PG_DSN"),
    ],
)
def test_a_dsn_that_cannot_work_is_a_matter_of_settings(postgres_server: PostgresServer, old: str, new: str, message: str) -> None:
    dsn = postgres_server.dsn.replace(old, new)
    with pytest.raises(ConfigError, match=message) as raised:
        SqlDestination("postgres", postgres_url(dsn), clock=HandClock()).prepare()
    assert "PG_DSN" in raised.value.hint
    assert PASSWORD not in told(raised.value)
    assert "wrong-secret" not in told(raised.value)


@pytest.mark.parametrize(
    "dsn",
    ["", "host=localhost", "mysql://u:secret@h/d", "postgresql://u:p@h:secret/db", "postgresql://u:p@secret@h/db", "postgresql:/secret"],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(ConfigError, match="PG_DSN cannot be read") as raised:
        postgres_url(dsn)
    assert "secret" not in "".join(traceback.format_exception_only(raised.value)) + raised.value.hint


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_usual_scheme_is_understood(scheme: str) -> None:
    url = postgres_url(f"{scheme}://user:p%40ss@db.example.com:5433/name?sslmode=require")
    assert (url.drivername, url.password, url.host, url.port, url.database) == (
        "postgresql+psycopg2",
        "p@ss",
        "db.example.com",
        5433,
        "name",
    )
    assert "p@ss" not in str(url)


def test_a_missing_schema_is_made_and_a_strange_name_is_quoted(fresh_postgres: str) -> None:
    destination = SqlDestination("postgres", postgres_url(fresh_postgres), schema='My "50%" schema', clock=HandClock())
    assert destination.prepare() is None
    deliver(destination, task(), email(attachments=[attachment()]))
    assert [row["task_id"] for row in destination.rows(TASKS)] == ["1"]
    assert postgres_place(fresh_postgres).sql('SELECT task_id FROM "My ""50%"" schema".tasks') == [("1",)]
    destination.close()


def test_a_user_without_rights_is_told_what_to_grant(pg: Place, fresh_postgres: str) -> None:
    ready(pg)
    role = "reader_" + fresh_postgres.rpartition("syncjob_")[2].partition("?")[0]
    pg.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'other-secret'")
    try:
        own = fresh_postgres.replace(f"postgres:{PASSWORD}@", f"{role}:other-secret@")
        if own == fresh_postgres:
            pytest.fail("TEST_DATABASE_URL must have the user postgres and the password of the tests")
        for schema in ("public", "another"):
            with pytest.raises(ConfigError, match="does not let the user") as raised:
                SqlDestination("postgres", postgres_url(own), schema=schema, clock=HandClock()).prepare()
            assert "grant" in raised.value.hint
            assert "other-secret" not in told(raised.value)
    finally:
        pg.sql(f"DROP ROLE {role}")


def test_a_database_that_is_not_utf8_is_refused(postgres_server: PostgresServer) -> None:
    execute(postgres_server.dsn, "CREATE DATABASE old_text ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ConfigError, match="UTF8"):
        SqlDestination("postgres", postgres_url(postgres_server.dsn.replace("/postgres?", "/old_text?")), clock=HandClock()).prepare()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *(
            (code, Transient)
            for code in ("40001", "40P01", "53100", "53300", "57014", "08006", "25006", "42P01", "55P03", "XX000", "57P01")
        ),
        *((code, ConfigError) for code in ("42501", "3F000", "28000")),
        *((code, Rejected) for code in ("22001", "22P02", "23514", "54000", "P0001", "ZZ001", "45000")),
    ],
)
def test_a_failure_is_classified_by_its_code_and_never_quoted(pg: Place, code: str, error: type[SyncjobError]) -> None:
    destination = ready(pg)
    deliver(destination, task("0"), seq=1)
    pg.sql(
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'secret %', NEW.title USING ERRCODE = '{code}', DETAIL = 'secret'; END $$"""
    )
    pg.sql("CREATE TRIGGER fail BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION fail()")
    pg.sql("ALTER TABLE emails ADD COLUMN title text")
    with pytest.raises(error, match=code) as raised:
        deliver(destination, task("1", title="secret"), email(subject="secret"), seq=2)
    assert "secret" not in told(raised.value)
    assert type(raised.value) is error
    pg.sql("DROP TRIGGER fail ON emails")
    assert (list(rows(pg)), destination.prepare()) == (["0"], at(1))
    assert deliver(destination, task("1"), email(), seq=2) == Receipt(2)


def test_a_connection_that_is_cut_off_in_the_middle_is_transient(pg: Place) -> None:
    destination = ready(pg)
    pg.sql(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END $$"""
    )
    pg.sql("CREATE TRIGGER die BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(Transient):
        deliver(destination, task(), email())
    pg.sql("DROP TRIGGER die ON emails")
    assert rows(pg) == {}
    assert deliver(destination, task(), email()) == Receipt(2)


def test_a_key_too_long_for_the_index_is_rejected(pg: Place) -> None:
    key = "".join(random.Random(1).choices("0123456789abcdef", k=9_000))
    with pytest.raises(Rejected, match="54000"):
        deliver(ready(pg), task(key))


def test_values_that_somebody_else_wrote_do_not_stop_reading(pg: Place) -> None:
    deliver(ready(pg), task("1"))
    pg.sql("UPDATE tasks SET updated_at = 'infinity', due_at = '10000-01-01', created_at = '0044-03-15 BC'")
    assert [row["task_id"] for row in ready(pg).rows(TASKS)] == ["1"]


def test_statements_stay_under_their_limits() -> None:
    sizes = [400_000, 400_000, 400_000, 5_000_000, 1, 1, *[10] * 1_200]
    parts = [len(part) for part in postgres.statements([(size,) for size in sizes], sizes)]
    assert parts == [2, 1, 1, 500, 500, 202]
    assert list(postgres.statements([], [])) == []
