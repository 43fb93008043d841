"""Whatever goes wrong, in whatever way it is told: no key, no password and no text of a mail or task is part of it."""

import base64
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from syncjob.sandbox import Fault, Kind, Sandbox
from tests.postgres import execute

from .forks import forks
from .job import Job

BODY = "b0dy-of-a-mail"
TASK_KEY, MAIL_TOKEN = "tkn_k3y-of-tasks", "missive_pat-t0ken-of-mails"
PASSWORD = "p@ss:w0rd/of%pg"
HIDDEN = (BODY, TASK_KEY, MAIL_TOKEN, PASSWORD, quote(PASSWORD, safe=""), base64.b64encode(f"{TASK_KEY}:x".encode()).decode())

BUGS = {
    "mails": """
import syncjob.sources.missive as module
def quoting(message, *_, **__):
    raise ValueError(f"cannot read {message!r} {message.body} with {open('hidden').read()}")
module.email_record = quoting
""",
    "delivery": """
import syncjob.delivery as module
def failed(self, error=None):
    raise RuntimeError(open("hidden").read())
module.DestinationPart.failed = module.DestinationPart.step = failed
""",
}
"""What nobody foresaw has to be put in."""


@dataclass
class Listener:
    """Runs commands, and keeps everything that was said anywhere."""

    job: Job
    bug: str = ""
    said: list[str] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)

    def run(self, command: str = "once", *args: str, **env: str) -> str:
        exit_, out, err = forks().run(self.job.folder, self.job.env(**env), command, *args, first=self.bug)
        self.exits.append(exit_)
        self.said.append(out + err)
        return out + err

    def everything(self, **env: str) -> None:
        """A failing run in each form, and all that can be asked about it afterwards."""
        self.run("once", LOG_FILE="job.log", **env)
        self.run("once", "--json", LOG_FORMAT="json", **env)
        for command in ("status --json", "check", "dead list --json"):
            self.run(*command.split(), **env)
        for letter in self.letters():
            self.run("dead", "show", *letter, **env)
        self.run("dead", "retry", **env)

    def letters(self) -> list[list[str]]:
        lines = self.run("dead", "list").splitlines()
        return [line.partition(":")[0].split() for line in lines if line and not line.startswith("no ")]

    def heard(self) -> str:
        logs = [path.read_text() for path in self.job.folder.glob("job.log*")]
        return "\n".join([*self.said, *logs])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small world whose every mail and task has a text that must not be seen."""
    with Sandbox(seed=3, tasks=12, conversations=4) as sandbox:
        teamwork, missive = sandbox.world.teamwork, sandbox.world.missive
        teamwork.keys[TASK_KEY] = teamwork.keys[sandbox.teamwork_key]
        missive.tokens[MAIL_TOKEN] = missive.tokens[sandbox.missive_token]
        for key in sandbox.truth.tasks():
            teamwork.edit_task(int(key), description=f"{BODY} of a task")
        for key in sandbox.truth.emails():
            missive.edit_message(key, body=f"<p>{BODY}</p>")
        yield sandbox


@pytest.fixture
def listener(tmp_path: Path, sandbox: Sandbox, dsn: str) -> Iterator[Listener]:
    """At the end, nothing of all that it heard may be secret."""
    role = "odd" + dsn.partition("/syncjob")[2].partition("?")[0]
    execute(dsn, f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    with_password = f"postgresql://{role}:{quote(PASSWORD, safe='')}@{dsn.partition('@')[2]}"
    more = {"TEAMWORK_API_KEY": TASK_KEY, "MISSIVE_API_TOKEN": MAIL_TOKEN, "LOG_LEVEL": "DEBUG", "HTTP_TIMEOUT_SECONDS": "1"}
    listener = Listener(Job(tmp_path, sandbox, more=more, dsn=with_password))
    yield listener
    heard = listener.heard()
    assert heard
    for secret in HIDDEN:
        place = heard.find(secret)
        assert place < 0, heard[max(0, place - 300) : place + 100]


@pytest.mark.proof
def test_a_good_run_says_nothing(listener: Listener) -> None:
    listener.everything()
    assert set(listener.exits) == {0}


SOME_KINDS = (Kind.FORBIDDEN, Kind.ERROR_HTML, Kind.LOGIN_PAGE, Kind.WRONG_TYPE)


def test_no_fault_of_a_source_says_it(listener: Listener) -> None:
    check_faults(listener, SOME_KINDS)
    assert set(listener.exits) == {3}


@pytest.mark.proof
def test_none_of_all_faults_of_a_source_says_it(listener: Listener) -> None:
    check_faults(listener, Kind)
    assert set(listener.exits) == {0, 2, 3}


def check_faults(listener: Listener, kinds: Iterable[Kind]) -> None:
    """Each anew: the limits of the one before would keep the next one from being met."""
    sandbox = listener.job.sandbox
    for kind in kinds:
        shutil.rmtree(listener.job.state, ignore_errors=True)
        sandbox.faults.clear()
        sandbox.faults.always(".*", Fault(kind, delay=2, hours=40))
        asked = len(sandbox.log)
        listener.run("once", LOG_FILE="job.log", HTTP_RETRIES="1", LOG_FORMAT=("text", "json")[len(listener.said) % 2])
        assert {exchange.face for exchange in list(sandbox.log)[asked:]} == {"teamwork", "missive"}


WRONG_SETTINGS: list[dict[str, str]] = [
    {"TEAMWORK_API_KEY": f"wrong-{TASK_KEY}", "MISSIVE_API_TOKEN": f"wrong-{MAIL_TOKEN}"},
    {"PG_DSN": f"postgresql://someone:{PASSWORD}@127.0.0.1:9/nowhere"},
    {"PG_DSN": f"postgresql://someone:{quote(PASSWORD, safe='')}@127.0.0.1:9/nowhere"},
    {"PG_DSN": f"{PASSWORD} is no address"},
    {"PG_DSN": f"postgresql://someone:{quote(PASSWORD, safe='')}@127.0.0.1:9/nowhere?sslmode={BODY[:3]}"},
    {"TEAMWORK_BASE_URL": f"https://someone:{quote(PASSWORD, safe='')}@127.0.0.1:9"},
    {"MISSIVE_BASE_URL": "http://127.0.0.1:9", "TEAMWORK_BASE_URL": "http://nowhere.invalid"},
    {"DB_BACKEND": MAIL_TOKEN, "POLL_INTERVAL_SECONDS": TASK_KEY},
]


@pytest.mark.parametrize("number", [pytest.param(each, marks=[pytest.mark.proof] * (each > 1)) for each in range(len(WRONG_SETTINGS))])
def test_no_wrong_setting_says_it(listener: Listener, number: int) -> None:
    listener.everything(**WRONG_SETTINGS[number])
    assert set(listener.exits) & {2, 3}


def test_no_misplaced_key_on_the_command_line_is_repeated(listener: Listener) -> None:
    for args in (["--source", TASK_KEY], ["--destination", MAIL_TOKEN], [f"--{TASK_KEY}"]):
        listener.run("once", *args)
    listener.run(MAIL_TOKEN)
    listener.run("dead", "show", "teamwork", TASK_KEY)
    assert set(listener.exits) == {2}


def test_no_row_that_a_database_refuses_is_quoted(listener: Listener) -> None:
    """PostgreSQL's own message has the whole row in its DETAIL."""
    assert "written" in listener.run()
    assert listener.job.dsn
    with closing(psycopg2.connect(listener.job.dsn)) as connection, connection:
        connection.cursor().execute("ALTER TABLE emails ADD CHECK (body_html NOT LIKE '%poison%') NOT VALID")
        connection.cursor().execute("ALTER TABLE tasks ADD CHECK (description NOT LIKE '%poison%') NOT VALID")
    world = listener.job.sandbox.world
    world.missive.edit_message(next(iter(listener.job.sandbox.truth.emails())), body=f"<p>poison {BODY}</p>")
    world.teamwork.edit_task(int(next(iter(listener.job.sandbox.truth.tasks()))), description=f"poison {BODY}")
    listener.everything()
    assert "put aside" in listener.heard()


@pytest.mark.parametrize("bug", ["mails", pytest.param("delivery", marks=pytest.mark.proof)])
def test_no_bug_of_ours_quotes_it(listener: Listener, bug: str) -> None:
    (listener.job.folder / "hidden").write_text(" ".join(HIDDEN))
    listener.bug = BUGS[bug]
    listener.everything()
    assert "unexpected " in listener.heard()
    assert "Traceback" in listener.heard()


@pytest.mark.proof
def test_no_damaged_state_quotes_it(listener: Listener) -> None:
    listener.run()
    mirror = listener.job.state / "mirror.db"
    content = mirror.read_bytes()
    mirror.write_bytes(content[: len(content) // 2] + BODY.encode() * 1000)
    listener.everything()
    assert "is damaged" in listener.heard()


def test_no_server_that_repeats_our_key_is_quoted(listener: Listener) -> None:
    """A proxy that shows the whole request in its error."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        for command in ("once", "check"):
            listener.run(command, TEAMWORK_BASE_URL=f"http://127.0.0.1:{server.getsockname()[1]}", HTTP_RETRIES="1", LOG_FILE="job.log")
    assert "418" in listener.heard()


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            request = connection.recv(65_536).decode("latin-1").replace("\r\n", " ").replace('"', "")
            body = f'{{"errors": [{{"detail": "{request[-180:]}"}}], "MESSAGE": "{request}"}}'
            head = f"HTTP/1.1 418 Teapot\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall((head + body).encode("latin-1"))
