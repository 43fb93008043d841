"""Files in the Attachments field of Airtable's emails: by their bytes where they are small, else by a link that Airtable fetches.

https://airtable.com/developers/web/api/upload-attachment
"""

from collections.abc import Sequence

from syncjob.core.model import EMAILS, Json
from syncjob.core.ports import Ledger
from syncjob.destinations.airtable_api import AirtableApi, TooLarge, Unprocessable
from syncjob.destinations.airtable_fields import FILES

MOST_BYTES = 5_000_000
ADOPTED = "adopted"
"""The ledger's note that a record was met which it did not make."""


class NotTaken(Exception):
    """Airtable does not take this file in this way."""


class AirtableFiles:
    """The Attachments field. The ledger says which table it is in."""

    def __init__(self, api: AirtableApi, ledger: Ledger) -> None:
        self._api, self._ledger = api, ledger

    def held(self, record: str) -> Sequence[Json]:
        """The files that a record shows now. Raises NotTaken where the record is gone."""
        try:
            return list(self._api.record(self._table, record)["fields"].get(FILES.name, ()))
        except Unprocessable as error:
            raise NotTaken(error.message) from None

    def upload(self, record: str, name: str, media_type: str | None, content: bytes) -> None:
        """Append a file. Raises NotTaken, and Lost where nobody knows whether it was done."""
        try:
            self._api.upload(record, FILES.name, name, media_type or "application/octet-stream", content)
        except (Unprocessable, TooLarge) as error:
            raise NotTaken(str(error)) from None

    def link(self, record: str, name: str, url: str) -> None:
        """Append a file that Airtable fetches later; repeating it replaces what was linked before. Raises NotTaken."""
        kept = [{"id": each["id"]} for each in self.held(record)]
        try:
            self._api.update(self._table, record, {FILES.name: [*kept, {"url": url, "filename": name}]})
        except (Unprocessable, TooLarge) as error:
            raise NotTaken(str(error)) from None

    def is_adopted(self) -> bool:
        """Whether there were records before this mirror: they may show its files already."""
        return bool(self._ledger.recall(ADOPTED))

    def close(self) -> None:
        """Let go of the connection."""
        self._api.close()

    @property
    def _table(self) -> str:
        return str(self._ledger.recall("tables")[EMAILS])
