"""The files of attachments: mirror -> storage host -> disk, and on to Airtable. A part of its own, so that no email waits for a file.

What is wanted is a list in the store, filled from the feed; each file leaves it only when it is durable where it belongs. Links are
signed and expire, so each comes fresh from its message, right before it is used. What fails is tried again later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from syncjob.blobs import Blob, Blobs
from syncjob.core.errors import SyncjobError, Transient
from syncjob.core.model import EMAILS, Answer, Call, Json, WalkKind, Wanted
from syncjob.core.ports import Clock
from syncjob.core.steps import Rest
from syncjob.destinations import MOST_BYTES, AirtableFiles, Lost, NotTaken
from syncjob.http.download import DownloadError
from syncjob.store import LedgerOf, Store
from syncjob.store.files import LONGEST_WAIT, MOST_TRIES

NAME = "attachments"
PAGE, TOGETHER, OUTAGE = 500, 10, 3
"""How many emails are looked through at a time, of how many files the links are asked for together, and how many that fail in a row
are no fault of theirs."""

FIRST_WAIT = timedelta(minutes=5)
FETCHED_AFTER = timedelta(minutes=10)
"""When to look whether Airtable fetched a link: it does so on its own time, and says nothing when it could not."""


class Asked(Protocol):
    """The API that gives fresh links."""

    def get(self, call: Call, urgency: WalkKind) -> Answer:
        """The answer to a call."""

    def close(self) -> None:
        """Let go of connections."""


class FilesPart:
    """Attachments at work. `keep`: into the store of files. `shown`: into Airtable. Files above `most` bytes are not kept."""

    name = NAME

    def __init__(
        self, api: Asked, store: Store, blobs: Blobs, clock: Clock, *, keep: bool, most: int, shown: AirtableFiles | None
    ) -> None:
        self.done = 0
        self._api, self._store, self._blobs, self._clock = api, store, blobs, clock
        self._keep, self._most, self._shown = keep, most, shown
        self._notes = LedgerOf(store, NAME)
        self._is_tidy = False
        self._together, self._in_a_row = TOGETHER, 0

    def step(self) -> Rest | None:
        """Look for new attachments, else take the next few files. Raises SyncjobError when no link may be asked for."""
        if not self._is_tidy:
            self._blobs.tidy()
            self._is_tidy = True
        return None if self._scan() or self._keep_some() or self._show_some() else Rest()

    def new_cycle(self) -> None:
        """Count files anew."""
        self.done = 0
        self._together, self._in_a_row = TOGETHER, 0

    def failed(self, error: SyncjobError) -> None:
        """Nothing is held between two steps."""

    def close(self) -> None:
        """Let go of connections."""
        self._blobs.close()
        self._api.close()
        if self._shown:
            self._shown.close()

    def _scan(self) -> bool:
        """Put the attachments of changed emails on the list."""
        after = self._notes.recall("seq") or 0
        with self._store.read() as tx:
            wanted, through = tx.files.scan(after, limit=PAGE)
        if through == after:
            return False
        with self._store.begin() as tx:
            tx.files.want(wanted)
            tx.books.note(NAME, "seq", through)
        return True

    # --- into the store of files ---

    def _keep_some(self) -> bool:
        if not self._keep:
            return False
        with self._store.read() as tx:
            wanted = tx.files.to_keep(self._clock.now(), self._most, limit=self._together)
        try:
            links = self._links(wanted)
        except Transient as error:
            return self._put_off(wanted, error)
        for each in wanted:
            if self._clock.wait(0):
                break
            try:
                blob = self._fetch(each, links, keep=True)
            except Transient as error:
                self._put_off([each], error)
            except DownloadError as error:
                self._later(each, str(error), **({"over": self._most} if error.too_large else {}))
            else:
                self._kept(each, blob)
        return bool(wanted)

    def _kept(self, each: Wanted, blob: Blob) -> None:
        """Note a file, and let destinations hear of its email again. A crash before this downloads it once more."""
        with self._store.begin() as tx:
            tx.files.set(each.attachment, sha256=blob.sha256, tries=0, not_before=None, error=None)
            tx.mirror.touch(EMAILS, tx.files.emails_of([each.attachment]))
        self.done, self._in_a_row = self.done + 1, 0

    # --- into Airtable ---

    def _show_some(self) -> bool:
        if self._shown is None:
            return False
        with self._store.read() as tx:
            wanted = tx.files.to_show("airtable", self._clock.now(), limit=self._together)
        try:
            links = self._links([each for each, _ in wanted if each.sha256 is None or (each.size or 0) > MOST_BYTES])
        except Transient as error:
            return self._put_off([each for each, _ in wanted], error)
        for each, record in wanted:
            if self._clock.wait(0):
                break
            try:
                self._show(each, record, links, self._shown)
            except Transient as error:
                self._put_off([each], error)
            except (DownloadError, NotTaken) as error:
                self._later(each, str(error))
            except Lost as error:
                self._later(each, f"nobody knows whether it arrived ({error})")
        return bool(wanted)

    def _show(self, each: Wanted, record: str, links: Mapping[str, str], shown: AirtableFiles) -> None:
        """Put a file into its record, exactly once: what was begun before is looked for first, and whatever a record may hold that was
        there before this mirror."""
        name = _shown_name(each)
        is_begun = each.record == record and each.stage != "wanted"
        if (is_begun or shown.is_adopted()) and self._is_there(replace(each, record=record), name, shown.held(record)):
            return None
        content = self._content(each, links)
        if content is None:
            self._mark(each, "sending", record, size=None)
            shown.link(record, name, self._link(each, links))
            return self._mark(each, "linked", record, not_before=self._clock.now() + FETCHED_AFTER)
        self._mark(each, "sending", record, size=len(content))
        shown.upload(record, name, each.media_type, content)
        return self._shown_now(each, record)

    def _is_there(self, each: Wanted, name: str, held: Sequence[Json]) -> bool:
        """Whether a file that was begun is in its record: one more of its name and size than others account for.

        The size is known of what was sent by its bytes. Of a link it is only what Missive says, so the name has to do.
        """
        alike = [item for item in held if item["filename"] == name and each.size in (None, item.get("size"))]
        with self._store.read() as tx:
            others = tx.files.twins(each)
        if len(alike) <= others:
            return False
        if any("size" not in item for item in alike):  # still to be fetched
            self._mark(each, "linked", each.record, not_before=self._clock.now() + FETCHED_AFTER)
        else:
            self._shown_now(each, each.record)
        return True

    def _content(self, each: Wanted, links: Mapping[str, str]) -> bytes | None:
        """The file, if it is small enough to be sent by its bytes."""
        if each.sha256 and (path := self._blobs.path(each.sha256)).exists():
            return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
        if (each.size or 0) > MOST_BYTES:
            return None
        try:
            blob = self._fetch(each, links, keep=False, most=MOST_BYTES)
        except DownloadError as error:
            if error.too_large:
                return None
            raise
        try:
            return blob.path.read_bytes()
        finally:
            blob.path.unlink()

    def _shown_now(self, each: Wanted, record: str | None) -> None:
        self._mark(each, "done", record, tries=0)
        self.done, self._in_a_row = self.done + 1, 0

    def _mark(self, each: Wanted, stage: str, record: str | None, **more: Json) -> None:
        with self._store.begin() as tx:
            tx.files.set(each.attachment, **{"stage": stage, "record": record, "not_before": None, "error": None, **more})

    # --- links and downloads ---

    def _fetch(self, each: Wanted, links: Mapping[str, str], *, keep: bool, most: int | None = None) -> Blob:
        """Download a file; where its link has expired meanwhile, once more by a fresh one."""
        try:
            return self._blobs.fetch(self._link(each, links), each, keep=keep, most=most)
        except DownloadError as error:
            if not error.expired:
                raise
        return self._blobs.fetch(self._link(each, self._links([each])), each, keep=keep, most=most)

    def _link(self, each: Wanted, links: Mapping[str, str]) -> str:
        links = links if each.attachment in links else self._links([each])
        if each.attachment not in links:
            raise DownloadError("its message does not offer it any more")
        return links[each.attachment]

    def _links(self, wanted: Sequence[Wanted]) -> Mapping[str, str]:
        """Fresh links, from the messages. Where one of several is gone or out of reach, the API may refuse them all: then one by one."""
        emails = sorted({each.email for each in wanted})
        if not emails:
            return {}
        answer = self._ask(emails)
        if answer.status == 200 or len(emails) == 1:
            return _links_in(answer)
        return {attachment: link for email in emails for attachment, link in _links_in(self._ask([email])).items()}

    def _ask(self, emails: Sequence[str]) -> Answer:
        return self._api.get(Call("links", f"/messages/{','.join(emails)}", accept=(400, 403, 404, 410)), "full")

    def _put_off(self, wanted: Sequence[Wanted], error: Transient) -> bool:
        """What fails for one file keeps no other waiting: several are asked for one by one from here on, a single one later.
        Raises the error where that goes on."""
        if len(wanted) > 1:
            self._together = 1
            return True
        self._later(wanted[0], error.message)
        self._in_a_row += 1
        if self._in_a_row >= OUTAGE:
            raise error
        return True

    def _later(self, each: Wanted, error: str, **more: Json) -> None:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(each.tries, MOST_TRIES))
        with self._store.begin() as tx:
            tx.files.set(each.attachment, tries=each.tries + 1, not_before=self._clock.now() + wait, error=error, **more)


def _links_in(answer: Answer) -> Mapping[str, str]:
    """The link of every attachment in an answer: of one message, or of several. None in a refusal."""
    messages = (answer.payload or {}).get("messages") if answer.status == 200 else None
    found = messages if isinstance(messages, list) else [messages]
    lists = [message.get("attachments") for message in found if isinstance(message, dict)]
    items = [item for some in lists if isinstance(some, list) for item in some]
    pairs = [(item.get("id"), item.get("url")) for item in items if isinstance(item, dict)]
    return {id_: url for id_, url in pairs if isinstance(id_, str) and isinstance(url, str)}


def _shown_name(each: Wanted) -> str:
    """A name as people see it: on one line, not too long. It is a label, never a path."""
    name = "".join(sign for sign in " ".join((each.filename or "").split()) if sign.isprintable())
    return name.encode("utf-8", "replace").decode()[:200] or "attachment"
