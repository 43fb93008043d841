"""missive.emails, with missive.conversations behind it: list page -> conversations -> message lists -> bodies.

Missive has no "changed since": a changes walk reads the head of `all` (and, in turn, of `trashed` and `junked`), newest
activity first, until it passes `since`. What a conversation shows is compared with the mirror; where its activity or its
number of messages moved, its message list is wanted, and where a message is new or looks different, its body, asked in
tens across conversations. Wants live in the store, so a walk that is killed goes on with them.

A sweep reads all three lists to their end, and the head again. What it did not meet, and messages that a whole list of their
conversation does not show, are proven to be gone as `sources.proof` says. What a list cannot show, one message in place of
another, is found in turn: each sweep lists the messages of the hundredth part of all conversations.

https://missiveapp.com/docs/developers/rest-api/endpoints
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime

from syncjob.core.errors import Incomplete, Transient
from syncjob.core.model import (
    CONVERSATIONS,
    EMAILS,
    NOTHING,
    OPENED,
    PROOF,
    Answer,
    Call,
    Gone,
    Json,
    Page,
    Record,
    Row,
    Walk,
    Want,
)  # fmt: skip
from syncjob.core.ports import Known, Without
from syncjob.core.questions import together
from syncjob.http.answers import largest_limit, vendor_text
from syncjob.sources import proof
from syncjob.sources.mails import MERGED, Conversation, Message, conversation_record, email_record, in_conversation
from syncjob.sources.missive_threads import INHERITED, read_thread, thread_call
from syncjob.sources.missive_wants import (
    SHORT,
    emails_of,
    in_turn,
    live_emails,
    look_up,
    split,
    suspects,
    thread_about,
    under_way,
    unmarked,
    whole_thread,
)
from syncjob.sources.payload import listed, parsed, times_of, validated
from syncjob.sources.until import SMALLEST_LIMIT, as_time, onward, paging

LIST_LIMIT, USERS_LIMIT, BODIES, THREADS = 50, 200, 10, 10
BODIES_BYTES = 4_000_000
"""Bodies are asked for together as long as all of them are not larger than that; a single one may be as large as any answer."""


class Missive:
    """Decides what to ask Missive next, and reads its answers."""

    name = "missive"
    stream = EMAILS
    kinds: Mapping[str, int] = {"thread": 20, "body": 2 * BODIES, **proof.KINDS}
    witnesses: Mapping[str, Callable[[Row], Mapping[str, Json]]] = {
        "thread": lambda row: whole_thread(row.version or ""),
        "body": lambda row: {"conversation": row.parent, "relisted": False},
        OPENED: lambda _: {},
    }
    enumerated = CONVERSATIONS

    def __init__(self, process_after: datetime | None = None) -> None:
        self._process_after = process_after
        self._together = BODIES

    def begin(self, walk: Walk) -> Mapping[str, Json]:
        others = ["trashed", "junked"]
        if walk.kind == "changes":
            others = [others[walk.turn % 2]]
        elif walk.kind == "sweep" or walk.reread:
            others.append("all")  # once more its head: what became active meanwhile
        return {"box": "all", "then": others, "until": None, "limit": LIST_LIMIT}

    def place(self, position: Mapping[str, Json]) -> str:
        return f"list of {position['box']} conversations"

    def without(self, walk: Walk) -> Without:
        if walk.position["box"] == "all" and walk.kind != "changes":
            return Without(walk.position, is_needed=True)
        position, is_end = _next_box(walk.position)  # of what is in the trash, a sweep's look-ups tell that it is
        return Without(position, is_end=is_end, is_needed=walk.position["box"] == "all")

    def in_smaller_pages(self, walk: Walk) -> Mapping[str, Json] | None:
        return None

    # -- what to ask

    def page_call(self, walk: Walk, known: Known) -> Call:
        position = walk.position
        limit = SMALLEST_LIMIT if position.get("probe") else position["limit"]
        return Call("list", "/conversations", ((position["box"], "true"), *paging(limit, position["until"])), position, accept=(400,))

    def batches(self, wants: Sequence[Want]) -> Sequence[Sequence[Want]]:
        """Bodies where they fill a call, else the next threads, else the bodies that are left; then look-ups, and the threads that
        they may find to be there after all. What had to wait is asked by itself."""
        bodies = [want for want in wants if want.kind == "body"]
        threads = [want for want in wants if want.kind == "thread" and not want.about.get("lost")]
        batch = together(bodies, self._together)
        is_full = len(batch) == self._together and not batch[0].tries  # what failed lets others go first, to see if they are answered
        if threads and not is_full:
            return [[want] for want in threads if want.not_before is None][:THREADS] or [threads[:1]]
        return [batch or proof.batch(wants) or wants[:1]] if wants else []

    def want_call(self, wants: Sequence[Want], known: Known) -> Call:
        want = wants[0]
        if want.kind in PROOF:
            return proof.call(wants, known, look_up)
        if want.kind == "thread":
            return thread_call(want)
        about = {
            "wants": [[each.key, each.about["conversation"]] for each in wants],
            "relisted": [each.key for each in wants if each.about.get("relisted")],
        }
        most = BODIES_BYTES if len(wants) > 1 else None
        return Call("bodies", "/messages/" + ",".join(each.key for each in wants), (), about, (400, 404, *([413] if most else [])), most)

    def identity_call(self, answers: Sequence[Answer]) -> Call | None:
        if answers and (len(listed(answers[-1], "users")[0]) < USERS_LIMIT or _users(answers) == _users(answers[:-1])):
            return None
        more = (("offset", str(len(answers) * USERS_LIMIT)),) if answers else ()
        return Call("identity", "/users", (("limit", str(USERS_LIMIT)), *more))

    def identity(self, answers: Sequence[Answer]) -> tuple[str, Mapping[str, Mapping[str, Json]]]:
        if not (users := _users(answers)):
            raise Transient("`users` in the answer names nobody", hint="the vendor may be having trouble; the next run tries again")
        me = next((key for key, user in users.items() if user["me"]), None)
        return f"missive user {me or '?'}", {"users": users}

    def inherit(self, parent: Record, child: Row) -> Record | None:
        if parent.stream != CONVERSATIONS or child.data is None:
            return None
        if parent.gone and parent.gone.why == MERGED:
            return None
        own = child.deleted_why if child.deleted_why and child.deleted_why not in INHERITED else None
        gone = Gone(own, child.deleted_at) if own else None
        email = Record(EMAILS, child.key, child.data, child.version, child.updated_at, child.parent, gone=gone)
        return in_conversation(email, parent)

    # -- what the answer says

    def read(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        if call.name == "thread":
            return read_thread(walk, call, answer, known, self._process_after)
        if call.name == "bodies":
            return self._read_bodies(walk, call, answer, known)
        assert walk is not None
        if call.name == "proof":
            return _but_the_lost(proof.read(walk, call, answer, known, self._look))
        return self._read_list(walk, call, answer, known)

    def _read_list(self, walk: Walk, call: Call, answer: Answer, known: Known) -> Page:
        """A page of conversations: what they show, and whose messages have to be listed."""
        position = call.about
        if answer.status == 400:
            return _smaller(position, answer)
        raws, _ = listed(answer, "conversations")
        found, rejected = validated(Conversation, raws, CONVERSATIONS)
        me = _me(known)
        whole = [each for each in found if not each.is_stub]
        rows = known.rows(CONVERSATIONS, [each.id for each in whole])
        met = known.sighted(walk.id, CONVERSATIONS, [each.id for each in found])
        waiting = known.waiting("thread", [each.id for each in whole])
        abouts = {each.id: under_way(walk, thread_about(walk, each, rows.get(each.id)), waiting.get(each.id)) for each in whole}
        others = {each.id: waiting[each.id] for each in whole if each.id in waiting and _is_before(each, walk.since)}
        dead = known.given_up("thread", [each.id for each in whole]) if walk.kind == "changes" else NOTHING
        records = tuple(conversation_record(each, me, box=position["box"]) for each in whole)
        wants = [
            Want("thread", CONVERSATIONS, each.id, abouts[each.id], walk.id)
            for each, record in zip(whole, records, strict=True)
            if each.id not in met and each.version() not in (found.get(each.id, NOTHING).get("version") for found in (others, dead))
            if self._needs_thread(walk, each, record, rows.get(each.id), known)
        ]
        stubs = tuple((CONVERSATIONS, each.id) for each in found if each.is_stub)
        doubtful = [want for _, key in stubs for want in suspects(walk, key, known)] if walk.kind != "changes" else []
        times = [each.last_activity_at for each in found if each.last_activity_at is not None]
        if found and not times:
            raise Incomplete("missive.emails: conversations without `last_activity_at`", hint="the next run tries again")
        times += [min(times)] * (len(found) - len(times)) if times else []  # one without a time counts as the page's oldest
        then, complete, unread = self._onward(walk, position, times + times_of(rejected, "last_activity_at"))
        expected = sum(want.about["count"] or 0 for want in wants)
        if complete and walk.kind == "sweep":
            wants += in_turn(walk, [want.key for want in wants], known)
        strange = tuple((*stub, "") for stub in stubs)  # shown whole again, its messages are listed again
        return Page(
            records, stubs, emails_of(doubtful), strange, rejected=rejected, wants=(*wants, *doubtful), position=then, complete=complete,
            unread=unread, expected=expected,
        )  # fmt: skip

    def _needs_thread(self, walk: Walk, found: Conversation, record: Record, row: Row | None, known: Known) -> bool:
        """Whether a conversation's messages may differ from what the mirror holds."""
        if record.gone:
            return False  # what is in the trash is listed when it comes back, whether or not its activity moved
        if row is None or row.deleted_at:
            return True
        if found.version() != (unmarked(row.version) if walk.kind == "changes" else row.version):
            return True
        return walk.reread or (walk.kind == "full" and any(child.data is None for child in known.children(EMAILS, found.id).values()))

    def _onward(
        self, walk: Walk, position: Mapping[str, Json], times: Sequence[int]
    ) -> tuple[Mapping[str, Json], bool, str | None]:
        """Where the lists go on after a page: further down, in the next box, or nowhere."""
        unread = None
        oldest = min(times, default=0)
        if position.get("probe"):
            if len(times) <= SMALLEST_LIMIT:
                second = as_time(position["until"])
                unread = f"more than {position['limit']} conversations share the second {second}: Missive shows no more of them"
            return {**position, "until": position["until"] - 1, "probe": False}, False, unread
        since = walk.since if position["box"] == "all" else walk.before or walk.since  # the other boxes were read last one walk earlier
        if position.get("again"):
            since = walk.until
        passed = since is not None and times and oldest < since.timestamp()
        step = onward(times, until=position["until"], limit=position["limit"], stale=False)  # what one may not see may be left out
        if not passed and not step.end:
            return {**position, "until": step.until, "probe": step.probe}, False, None
        return *_next_box(position), None

    def _read_bodies(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        """Messages with their bodies. One that did not come is asked again alone; only then is it gone."""
        asked, relisted = dict(call.about["wants"]), call.about.get("relisted", ())
        self._learn_size(len(asked), answer)
        if answer.status != 200:
            return split(asked, answer.status, walk, known, relisted=relisted)
        payload = parsed(answer, "messages")["messages"]
        if not isinstance(payload, list | dict):
            raise Transient("`messages` in the answer is no list", hint="the next run tries again")
        found, rejected = validated(Message, payload if isinstance(payload, list) else [payload], EMAILS)
        if any(not _home(each, asked) for each in found):
            raise Transient("a message without its conversation", hint="the next run tries again")
        me = _me(known)
        told = {each.id: conversation_record(each, me, box="all") for each in _shown(found)}
        conversations = self._conversations({_home(each, asked) for each in found}, told, known)
        ours = {(user.get("email") or "").lower() for user in known.names("users").values()} - {""}
        wanted = (each for each in found if each.id in asked)
        emails = [email_record(each, conversations[_home(each, asked)], ours, version=each.version()) for each in wanted]
        away = {each.parent for each in emails if each.gone and each.parent}  # first seen so, they make no rows: listed when it is back
        here = {each.id for each in found} | {each.key for each in rejected}
        missing = {key: home for key, home in asked.items() if key not in here}
        if missing and len(asked) == 1:  # neither shown nor not found: asked again at once, it would be for ever
            raise Transient("the answer does not show the message that was asked for", hint="the next run asks again")
        again = split(missing, 200, walk, known, relisted=relisted) if missing else Page()
        settled = tuple(("body", key) for key in asked if key not in missing) + again.settled
        versions = tuple((CONVERSATIONS, home, "") for home in away)
        under_way = known.waiting("thread", away).items() if walk else ()  # lists whose end would note a version all the same
        threads = (Want("thread", CONVERSATIONS, home, {**about, "version": ""}, walk.id if walk else None) for home, about in under_way)
        wants = (*again.wants, *threads)
        return replace(again, records=(*told.values(), *emails), versions=versions, rejected=rejected, wants=wants, settled=settled)

    def _learn_size(self, count: int, answer: Answer) -> None:
        """How many bodies one answer can hold, as far as the last ones tell: so that few answers are thrown away."""
        if answer.status == 413:
            self._together = max(1, count // 2)
        elif answer.status == 200 and count >= self._together and 2 * len(answer.body) < BODIES_BYTES:
            self._together = min(BODIES, 2 * self._together)

    def _look(self, walk: Walk, stream: str, key: str, answer: Answer, known: Known) -> Page | None:
        """What the own page of a conversation or a message says; None: there is none."""
        if answer.status in (404, 410):
            return None
        if answer.status != 200 and stream == EMAILS:
            return Page(inaccessible=((stream, key),), versions=_doubted(key, known))
        if answer.status != 200:
            return Page(inaccessible=((stream, key), *live_emails(key, known)))
        if stream == CONVERSATIONS:
            return self._look_at_conversation(walk, key, answer, known)
        return self._look_at_message(key, answer, known)

    def _look_at_message(self, key: str, answer: Answer, known: Known) -> Page:
        row = known.rows(EMAILS, [key]).get(key)
        page = self._read_bodies(None, Call("bodies", "", about={"wants": [[key, (row and row.parent) or ""]]}), answer, known)
        if page.wants:
            raise Transient("the answer shows another message than was asked for", hint="the next run tries again")
        return page

    def _look_at_conversation(self, walk: Walk, key: str, answer: Answer, known: Known) -> Page:
        """A conversation that answers with another's id was merged into that one: its messages say where they are now."""
        payload = parsed(answer, "conversations")["conversations"]
        found, _ = validated(Conversation, payload if isinstance(payload, list) else [payload], CONVERSATIONS)
        if len(found) != 1:
            raise Transient("the answer shows no conversation", hint="the next run tries again")
        shown, rows = found[0], known.rows(CONVERSATIONS, [key, found[0].id])
        if shown.is_stub:
            wants = suspects(walk, key, known)
            return Page(sighted=((CONVERSATIONS, key),), met=emails_of(wants), wants=tuple(wants))
        record = conversation_record(shown, _me(known), box="all")
        if shown.id == key:
            is_due = self._needs_thread(walk, shown, record, rows.get(key), known) and not known.waiting("thread", [key])
            about = thread_about(walk, shown, rows.get(key))
            return Page((record,), wants=(Want("thread", CONVERSATIONS, key, about, walk.id),) if is_due else ())
        old = rows.get(key)
        merged = Record(CONVERSATIONS, key, old.data if old else None, gone=Gone(MERGED))
        whole = Want("thread", CONVERSATIONS, shown.id, whole_thread(shown.version()), walk.id)  # only all of it tells what is whose
        wants = [] if record.gone else [whole]
        wants += suspects(walk, key, known)  # those that it shows are spared
        return Page((merged, record), met=emails_of(wants), wants=tuple(wants))

    def _conversations(self, homes: Set[str], told: Mapping[str, Record], known: Known) -> dict[str, Record]:
        """The conversation of each message: as the mirror has it, else as the message shows it. One that is shown as gone goes
        at the end of the walk, with all its messages; one that is shown live is live."""
        known_ones = {key: _as_record(row) for key, row in known.rows(CONVERSATIONS, homes).items()}
        me, others = _me(known), homes - told.keys() - known_ones.keys()
        unknown = {key: conversation_record(Conversation(id=key), me, box="all") for key in others}
        return {**unknown, **told, **known_ones, **{key: record for key, record in told.items() if record.proven}}


def _doubted(message: str, known: Known) -> tuple[tuple[str, str, str], ...]:
    """The version to note of a message's conversation, so that the next sweep lists it again."""
    rows = known.rows(EMAILS, [message]).values()
    homes = known.rows(CONVERSATIONS, [row.parent for row in rows if row.parent]).values()
    return tuple((CONVERSATIONS, home.key, unmarked(home.version) + SHORT) for home in homes if home.version)


def _users(answers: Sequence[Answer]) -> dict[str, dict[str, Json]]:
    """The users on these pages: by id, address and whether the key is theirs."""
    raws = [user for answer in answers for user in listed(answer, "users")[0] if isinstance(user, dict) and user.get("id")]
    return {user["id"]: {"email": user.get("email"), "me": bool(user.get("me"))} for user in raws}


def _but_the_lost(page: Page) -> Page:
    """The page of a look-up: a message list that was not found is asked for again only where its conversation is there; else when
    that is shown again."""
    there = {record.key for record in page.records if record.gone is None}
    open_ = {want.key for want in page.wants}
    lost = dict.fromkeys(key for kind, key in page.settled if kind in PROOF and key not in there | open_)
    unknown = tuple((CONVERSATIONS, key, "") for key in lost)
    return replace(page, settled=(*page.settled, *(("thread", key) for key in lost)), versions=page.versions + unknown)


def _next_box(position: Mapping[str, Json]) -> tuple[Mapping[str, Json], bool]:
    """Where a walk goes on behind a list, and whether that was the last one."""
    if not position["then"]:
        return position, True
    box, *then = position["then"]
    return {"box": box, "then": then, "until": None, "limit": position["limit"], "again": box == "all"}, False


def _is_before(found: Conversation, since: datetime | None) -> bool:
    """Whether it only lies on the page of a poll: if a backfill is about to list it, that stays the backfill's."""
    return since is not None and found.last_activity_at is not None and found.last_activity_at < since.timestamp()


def _smaller(position: Mapping[str, Json], answer: Answer) -> Page:
    """Ask the page again with the limit that the answer names: some accounts are said to allow 10."""
    limit = largest_limit(answer.body)
    if limit is None or limit >= position["limit"]:
        raise Transient(f"Missive refused a list: {vendor_text(answer.body)}", hint="the next run tries again")
    return Page(position={**position, "limit": limit})


def _shown(found: Iterable[Message]) -> Iterator[Conversation]:
    """The conversations that messages show whole."""
    return (each.conversation for each in found if each.conversation and not each.conversation.is_stub)


def _home(message: Message, asked: Mapping[str, str]) -> str:
    """The conversation a message belongs to: its own word counts, it may have been merged since it was listed."""
    return message.conversation.id if message.conversation else asked[message.id]


def _as_record(row: Row) -> Record:
    gone = Gone(row.deleted_why or "gone", row.deleted_at) if row.deleted_at else None
    return Record(CONVERSATIONS, row.key, row.data, row.version, row.updated_at, gone=gone)


def _me(known: Known) -> str | None:
    return next((id_ for id_, user in known.names("users").items() if user.get("me")), None)
