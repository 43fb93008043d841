"""What the environment and `.env` say, and how problems are told."""

import base64
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncjob.core.errors import ConfigError
from syncjob.settings import NAMES, Settings, load

TEAMWORK = {"TEAMWORK_BASE_URL": "https://acme.teamwork.com", "TEAMWORK_API_KEY": "twp_topsecret"}


def settings(folder: Path, **variables: str) -> Settings:
    return load(TEAMWORK | variables, cwd=folder)


def problems(folder: Path, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(folder, **variables)
    assert "config/.env.example" in caught.value.hint
    return caught.value.message


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PG_SCHEMA=file\nLOG_FORMAT=json\nHTTP_RETRIES=3\n")
    found = load(TEAMWORK | {"PG_SCHEMA": "environment", "HTTP_RETRIES": "4"}, cwd=tmp_path, flags={"HTTP_RETRIES": "7"})
    assert (found.http_retries, found.pg_schema, found.log_format, found.log_level) == (7, "environment", "json", "INFO")


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PG_SCHEMA=file\nSQLITE_PATH=\nMISSIVE_API_TOKEN\n")
    found = settings(tmp_path, PG_SCHEMA="  ", ONCE_MAX_SECONDS="")
    assert (found.pg_schema, found.sqlite_path, found.once_max_seconds, found.sources) == ("file", None, None, ("teamwork",))


def test_the_environment_of_the_process_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PG_SCHEMA=file\n")
    before = dict(os.environ)
    settings(tmp_path)
    assert dict(os.environ) == before


def test_paths_count_from_the_folder_of_the_env_file(tmp_path: Path) -> None:
    found = settings(tmp_path, SYNCJOB_STATE_DIR="here/state")
    assert (found.state, found.sqlite_file) == (tmp_path / "here/state", tmp_path / "here/state/data.db")
    assert settings(tmp_path, SQLITE_PATH="a.db").sqlite_file == tmp_path / "a.db"
    assert settings(tmp_path, SQLITE_PATH="/var/lib/a.db").sqlite_file == Path("/var/lib/a.db")


def test_values_are_read_into_what_the_program_uses(tmp_path: Path) -> None:
    found = settings(
        tmp_path, TEAMWORK_BASE_URL="https://acme.teamwork.com/", TEAMWORK_PROCESS_AFTER="2026-01-31", DB_BACKEND="sqlite, Postgres",
        PG_DSN="postgres://u@h/d", MISSIVE_RATE_LIMIT="10/1  100/60", MAX_DELETE_SHARE="0", LOG_LEVEL="debug",
    )  # fmt: skip
    assert found.teamwork_base_url == "https://acme.teamwork.com"
    assert found.teamwork_process_after == datetime(2026, 1, 31, tzinfo=UTC)
    assert found.db_backend == ("sqlite", "postgres")
    assert found.missive_rate_limit == ((10, 1), (100, 60))
    assert (found.max_delete_share, found.log_level) == (0, "DEBUG")


def test_airtables_content_host_follows_its_api(tmp_path: Path) -> None:
    assert settings(tmp_path).airtable_content == "https://content.airtable.com"
    assert settings(tmp_path, AIRTABLE_BASE_URL="http://127.0.0.1:9").airtable_content == "http://127.0.0.1:9"
    both = settings(tmp_path, AIRTABLE_BASE_URL="http://127.0.0.1:9", AIRTABLE_CONTENT_URL="http://127.0.0.1:8")
    assert both.airtable_content == "http://127.0.0.1:8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEAMWORK_BASE_URL", "acme.teamwork.com"),
        ("TEAMWORK_BASE_URL", "ftp://acme.teamwork.com"),
        ("MISSIVE_BASE_URL", "https://[broken"),
        ("MISSIVE_BASE_URL", "https://x.test/?a=1"),
        ("TEAMWORK_PROCESS_AFTER", "31.1.2026"),
        ("MISSIVE_PROCESS_AFTER", "20260131"),
        ("MISSIVE_PROCESS_AFTER", "2026-02-30"),
        ("DB_BACKEND", "mysql"),
        ("DB_BACKEND", "sqlite,sqlite"),
        ("DB_BACKEND", "sqlite,"),
        ("POLL_INTERVAL_SECONDS", "0"),
        ("POLL_INTERVAL_SECONDS", "inf"),
        ("POLL_INTERVAL_SECONDS", "nan"),
        ("SWEEP_INTERVAL_SECONDS", "soon"),
        ("BACKFILL_OVERLAP_SECONDS", "-1"),
        ("MAX_DELETE_SHARE", "25"),
        ("TEAMWORK_RATE_LIMIT", "150"),
        ("TEAMWORK_RATE_LIMIT", "0/60"),
        ("HTTP_RETRIES", "1.5"),
        ("HTTP_TIMEOUT_SECONDS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(tmp_path: Path, name: str, value: str) -> None:
    assert f"\n  {name}={value}: " in problems(tmp_path, **{name: value})


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SYNCJOB_STATEDIR=/tmp\nEDITOR=vi\n")
    told = problems(tmp_path, TEAMWORK_API_KEY="", DB_BACKEND="postgres,airtable", LOG_LEVEL="LOUD", PG_SCHEMA="x")
    assert [line.split()[0].rstrip(":") for line in told.splitlines()[1:]] == [
        "SYNCJOB_STATEDIR", "TEAMWORK_API_KEY", "PG_DSN", "AIRTABLE_API_KEY", "AIRTABLE_BASE_ID", "LOG_LEVEL=LOUD",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("TEAMWORK_APIKEY", "TEAMWORK_API_KEY"), ("teamwork_api_key", "TEAMWORK_API_KEY"), ("MAX_DELETE_SHARES", "MAX_DELETE_SHARE")],
)
def test_a_misspelled_name_in_the_file_is_an_error_and_not_a_silent_default(tmp_path: Path, wrong: str, right: str) -> None:
    (tmp_path / ".env").write_text(f"{wrong}=1\n")
    assert f"{wrong} in .env is not known; did you mean {right}?" in problems(tmp_path)


def test_a_problem_never_shows_a_secret(tmp_path: Path) -> None:
    told = problems(tmp_path, PG_DSN="mysql://u:hunter22@h/d", MISSIVE_BASE_URL="https://ann:hunter22@x.test", MAX_DELETE_SHARE="2")
    assert "PG_DSN: must begin with" in told
    assert "MISSIVE_BASE_URL: must not contain" in told
    assert "hunter22" not in told


def test_a_problem_never_shows_a_key_that_was_put_into_another_setting(tmp_path: Path) -> None:
    found = problems(tmp_path, DB_BACKEND="twp_topsecret", LOG_LEVEL=f"{'x' * 90}twp_topsecret", HTTP_RETRIES="many")
    assert "twp_" not in found
    assert "HTTP_RETRIES=many" in found


def test_without_a_source_the_message_names_the_demo(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, cwd=tmp_path)
    assert caught.value.exit == 2
    assert "python -m syncjob demo" in caught.value.hint
    assert load({}, cwd=tmp_path, need_source=False).sources == ()


def test_an_unreadable_env_file_is_a_problem_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PG_SCHEMA=\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        settings(tmp_path)


def test_a_key_is_taken_word_for_word(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MISSIVE_API_TOKEN='a${HOME}$b #c'\n")
    token = settings(tmp_path).missive_api_token
    assert token is not None
    assert token.get_secret_value() == "a${HOME}$b #c"


def test_secrets_are_known_in_every_form_and_never_part_of_a_repr(tmp_path: Path) -> None:
    found = settings(tmp_path, PG_DSN="postgresql://ann:p%40ss%2Fw@h/d", MISSIVE_API_TOKEN='tok"en\u00e9', AIRTABLE_API_KEY="a")
    basic = base64.b64encode(b"twp_topsecret:x").decode()
    assert {"twp_topsecret", basic, "p%40ss%2Fw", "p@ss/w", 'tok\\"en\\u00e9', "tok%22en%C3%A9"} <= set(found.secrets())
    assert "a" not in found.secrets()
    assert not any(secret in repr(found) for secret in found.secrets())


def test_every_secret_setting_is_hidden(tmp_path: Path) -> None:
    names = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field)]
    values = {name.upper(): f"https://user:{name}-value@h/x" for name in names} | {"PG_DSN": "postgresql://h/pg_dsn-value"}
    found = settings(tmp_path, **values)
    assert len(names) == 7
    assert set(values.values()) <= set(found.secrets())
    with pytest.raises(ConfigError) as told:
        settings(tmp_path, **{name: "\x00bad-value" for name in values if name in ("PG_DSN", "HEARTBEAT_URL")})
    assert "bad-value" not in str(told.value)


def test_the_example_names_every_variable_with_its_default(tmp_path: Path) -> None:
    lines = (Path(__file__).parent.parent / "config/.env.example").read_text().splitlines()
    shown = dict(line.removeprefix("#").split("=", 1) for line in lines if re.match("#[A-Z_]+=", line))
    assert list(shown) == list(NAMES)
    assert settings(tmp_path, **{name: value for name, value in shown.items() if value}) == settings(tmp_path, SYNCJOB_STATE_DIR="./state")
