"""So many mails of about 20 KB as Missive shows them, and the rows that a perfect mirror holds.

As with tasks, the sandbox makes some conversations once, and more are copies of them with ids and times of their own.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from random import Random
from typing import Any

from syncjob.sandbox import Request, Sandbox
from syncjob.sandbox.words import sentences

from .kinds import EMAILS, REST, SPAN, UNSTORABLE, Row, dumps, plain

ROOT = "/v1"
MADE = 400
"""So many conversations are made, of three mails on average."""
PARAGRAPHS = 55
ACTIVITY, COPY = 987_654_321_987, 4
"""Of an id the last four digits are the copy's number."""
LATEST = 2**40
"""Until when lists go that are not told."""
USERS = dumps({"users": [{"id": "7e5b0f0c-0000-4000-8000-000000000001", "name": "Ada", "email": "user0@acme.test", "me": True}]}).encode()


@dataclass(frozen=True, slots=True)
class _Mail:
    """A message as lists and as its own answer show it, with gaps for the copy's number, and the row it should become."""

    when: int
    listed: bytes
    whole: bytes
    row: Row


@dataclass(frozen=True, slots=True)
class _Thread:
    """A conversation, its messages the newest first."""

    template: bytes
    mails: tuple[_Mail, ...]


class Mails:
    """Conversations until there are `count` mails, the newest activity first."""

    kind = EMAILS

    def __init__(self, count: int, now: float) -> None:
        made = _make(min(MADE, count), now)
        self._made, self._last = list(made.values()), int(now) - REST
        self._places = {key[:-COPY]: place for place, key in enumerate(made)}
        self._mails = {mail.row["email_id"][:-COPY]: mail for thread in self._made for mail in thread.mails}
        totals = accumulate(len(self._thread(n).mails) for n in range(count))
        self._order = range(next(n for n, total in enumerate(totals, 1) if total >= count))
        self.count = sum(len(self._thread(n).mails) for n in self._order)

    def change(self, changed_at: float | None) -> None:
        """There is only one data set."""

    def allowed(self, step: str) -> int:
        """Fifty conversations a page, the last of which the next one shows again; a list of messages for each; ten bodies at
        a time, and sometimes less, when lists wait; the user, and the heads of the lists."""
        threads = len(self._order)
        return 8 + threads // 48 + threads + self.count // 10 + threads // 50

    def rows(self) -> Iterator[Row]:
        """What a perfect mirror holds."""
        for n in self._order:
            for mail in self._thread(n).mails:
                ids = {name: self._copied(mail.row[name], n) for name in ("email_id", "thread_id")}
                message_id = mail.row["internet_message_id"]
                yield mail.row | ids | {"internet_message_id": message_id and message_id.replace(mail.row["email_id"], ids["email_id"])}

    def answer(self, path: str, asked: Mapping[str, str]) -> bytes | None:
        """The body for a request; None: there is no such thing."""
        match path.removeprefix(ROOT).split("/")[1:]:
            case ["users"]:
                return USERS
            case ["conversations"]:
                return _array(b"conversations", self._list(asked))
            case ["conversations", key, "messages"]:
                return _array(b"messages", self._messages(key, asked))
            case ["messages", keys]:
                wholes = [self._mails[key[:-COPY]].whole % {b"copy": int(key[-COPY:], 16)} for key in keys.split(",")]
                return _array(b"messages", wholes) if wholes[1:] else b'{"messages":%b}' % wholes[0]
        return None

    def _list(self, asked: Mapping[str, str]) -> Iterable[bytes]:
        """Conversations whose last activity is not after `until`. None is trashed or junk."""
        until = int(asked.get("until", LATEST))
        first = bisect_left(self._order, -until, key=lambda n: -self._activity(n))
        shown = self._order[first : first + int(asked["limit"])] if asked.get("all") == "true" else ()
        return [self._thread(n).template % {b"copy": n // len(self._made), b"activity": self._activity(n)} for n in shown]

    def _messages(self, key: str, asked: Mapping[str, str]) -> Iterable[bytes]:
        mails = self._made[self._places[key[:-COPY]]].mails
        shown = [mail for mail in mails if mail.when <= int(asked.get("until", LATEST))][: int(asked["limit"])]
        return [mail.listed % {b"copy": int(key[-COPY:], 16)} for mail in shown]

    def _thread(self, n: int) -> _Thread:
        return self._made[n % len(self._made)]

    def _activity(self, n: int) -> int:
        return self._last - n * SPAN // len(self._order)

    def _copied(self, key: str, n: int) -> str:
        return f"{key[:-COPY]}{n // len(self._made):04x}"


def _array(name: bytes, items: Iterable[bytes]) -> bytes:
    return b'{"%b":[%b]}' % (name, b",".join(items))


def _make(count: int, now: float) -> dict[str, _Thread]:
    """Plain conversations of the sandbox by id."""
    sandbox = Sandbox(seed=7, tasks=0, conversations=count * 2 + 20, clock=lambda: now)
    plain_ones = (thread for thread in _conversations(sandbox) if _is_plain(thread, _messages_of(sandbox, thread)))
    chosen = list(islice(plain_ones, count))
    _enlarge(sandbox, {thread["id"] for thread in chosen}, Random(7))
    truth = sandbox.truth.emails()
    return {thread["id"]: _template(sandbox, thread, truth) for thread in chosen}


def _is_plain(thread: Any, messages: Any) -> bool:
    """Whether it shows its messages whole, on one page, and every database can hold it word for word."""
    shows_all = len(messages) == thread.get("messages_count") < 10 and all(message.get("preview") for message in messages)
    return shows_all and not UNSTORABLE.search(dumps([thread, messages]))


def _enlarge(sandbox: Sandbox, threads: Set[str], rng: Random) -> None:
    """Let all their mails have a body of twenty thousand characters, more or less, as long answers with what they answer have."""
    messages = sandbox.world.missive.messages
    for key, message in [(key, message) for key, message in messages.items() if message.conversation_id in threads]:
        paragraphs = (f"<p style='margin:0'>{sentences(rng, 8)}</p>" for _ in range(PARAGRAPHS))
        body = "".join(text for text in paragraphs if not UNSTORABLE.search(dumps(text)))
        messages[key] = replace(message, body=body)


def _conversations(sandbox: Sandbox) -> Iterator[Any]:
    """All conversations as the API lists them."""
    until, known = "", set[str]()
    while True:
        asked = {"all": "true", "limit": "50", **({"until": until} if until else {})}
        fresh = [thread for thread in _asked(sandbox, "/conversations", asked)["conversations"] if thread["id"] not in known]
        if not fresh:
            return
        yield from fresh
        known |= {thread["id"] for thread in fresh}
        until = str(fresh[-1]["last_activity_at"])


def _messages_of(sandbox: Sandbox, thread: Any) -> Any:
    return _asked(sandbox, f"/conversations/{thread['id']}/messages", {"limit": "10"}).get("messages", [])


def _template(sandbox: Sandbox, thread: Any, truth: Mapping[str, Row]) -> _Thread:
    listed = _messages_of(sandbox, thread)
    wholes = [_asked(sandbox, f"/messages/{message['id']}", {})["messages"] for message in listed]
    ids = [thread["id"], *(each["id"] for message in listed for each in (message, *message["attachments"]))]
    mails = [
        _Mail(message["delivered_at"], _gapped(message, ids), _gapped(whole, ids), plain(truth[message["id"]]))
        for message, whole in zip(listed, wholes, strict=True)
    ]
    return _Thread(_gapped(thread | {"last_activity_at": ACTIVITY}, ids), tuple(mails))


def _gapped(value: Any, ids: Iterable[str]) -> bytes:
    """Its JSON, with a gap for the copy's number in each of these ids."""
    text = dumps(value).replace("%", "%%").replace(str(ACTIVITY), "%(activity)d")
    for key in ids:
        text = text.replace(key, f"{key[:-COPY]}%(copy)04x")
    return text.encode()


def _asked(sandbox: Sandbox, path: str, params: Mapping[str, str]) -> Any:
    return sandbox.respond(Request("GET", ROOT + path, params, {"Authorization": f"Bearer {sandbox.missive_token}"})).json()
