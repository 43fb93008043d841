"""The sandbox keeps to what Airtable documents (destinations reference, sections 2 to 8), each unknown a switch."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from syncjob.sandbox import AirtableSwitches, Fault, Kind, Limits, Request, Response, Sandbox, Window
from syncjob.sandbox.airtable import Table

from .conftest import Clock

FIELDS = {
    "Email ID": "singleLineText", "Body": "multilineText", "Sent At": "dateTime", "Day": "date", "Labels": "multipleSelects",
    "Status": "singleSelect", "Deleted": "checkbox", "Size": "number", "Files": "multipleAttachments",
}  # fmt: skip
MINUTE = Limits(airtable=(Window(5, 1),))


class Desk:
    """A sandbox with one table, asked in process."""

    def __init__(self, limits: Limits | None = None, **switches: Any) -> None:
        self.clock = Clock()
        self.sandbox = Sandbox(1, 0, 4, clock=self.clock, limits=limits, airtable=AirtableSwitches(**switches))
        self.world = self.sandbox.world.airtable
        self.table: Table = self.world.add_table("Emails", FIELDS)

    def ask(self, method: str, path: str = "/Emails", body: Any = None, **params: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.sandbox.airtable_token}"}
        return self.sandbox.respond(Request(method, f"/v0/{self.world.base.id}{path}", params, headers, json.dumps(body).encode()))

    def upsert(self, *records: dict[str, Any], typecast: bool = False) -> Response:
        merge = {"fieldsToMergeOn": ["Email ID"]}
        return self.ask("PATCH", body={"performUpsert": merge, "records": list(records), "typecast": typecast})

    def put(self, **cells: Any) -> Response:
        return self.upsert({"fields": {"Email ID": "a", **cells}})

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return self.table.rows("Email ID")


def error(answer: Response) -> tuple[int, str]:
    return answer.status, answer.json()["error"]["type"]


def row(key: str, **cells: Any) -> dict[str, Any]:
    return {"fields": {"Email ID": key, **cells}}


def test_an_upsert_creates_updates_and_answers_in_order() -> None:
    desk = Desk()
    first = desk.upsert(row("b"), row("a")).json()
    assert [record["fields"]["Email ID"] for record in first["records"]] == ["b", "a"]
    assert (len(first["createdRecords"]), first["updatedRecords"]) == (2, [])
    second = desk.upsert(row("a", Body="x"), {"id": first["records"][0]["id"], "fields": {"Email ID": "c"}}, row("new")).json()
    assert (len(second["createdRecords"]), len(second["updatedRecords"])) == (1, 2)
    assert desk.rows == {"c": {"Email ID": "c"}, "a": {"Email ID": "a", "Body": "x"}, "new": {"Email ID": "new"}}


def test_a_patch_leaves_other_cells_alone_and_null_clears() -> None:
    desk = Desk()
    desk.put(Body="x", Size=3)
    desk.put(Body=None, Day="2026-01-31")
    assert desk.rows["a"] == {"Email ID": "a", "Size": 3, "Day": "2026-01-31"}


KEPT: list[tuple[str, Any, Any]] = [
    ("Body", "", None),
    ("Sent At", "2026-01-31T10:15:00+02:00", "2026-01-31T08:15:00.000Z"),
    ("Sent At", "2026-01-31T10:15:00.5", "2026-01-31T10:15:00.500Z"),
    ("Day", "2026-01-31", "2026-01-31"),
    ("Deleted", True, True),
    ("Deleted", False, None),
    ("Size", 0, 0),
    ("Status", "new", "new"),
    ("Labels", ["new", "new"], ["new"]),
    ("Labels", [], None),
]


@pytest.mark.parametrize(("field", "value", "kept"), KEPT)
def test_a_value_is_kept_as_documented(field: str, value: Any, kept: Any) -> None:
    desk = Desk()
    assert desk.put(**{field: value}).status == 200
    assert desk.rows["a"].get(field) == kept


REFUSED: list[tuple[str, Any, str]] = [
    ("Body", 5, "INVALID_VALUE_FOR_COLUMN"),
    ("Body", "nul\x00", "INVALID_VALUE_FOR_COLUMN"),
    ("Body", "\ud800", "INVALID_VALUE_FOR_COLUMN"),
    ("Body", "x" * 100_001, "INVALID_VALUE_FOR_COLUMN"),
    ("Body", "😀" * 50_001, "INVALID_VALUE_FOR_COLUMN"),
    ("Sent At", "yesterday", "INVALID_VALUE_FOR_COLUMN"),
    ("Day", "2026-02-30", "INVALID_VALUE_FOR_COLUMN"),
    ("Day", "2026-01-31T00:00:00Z", "INVALID_VALUE_FOR_COLUMN"),
    ("Deleted", "true", "INVALID_VALUE_FOR_COLUMN"),
    ("Size", "3", "INVALID_VALUE_FOR_COLUMN"),
    ("Status", "unheard of", "INVALID_MULTIPLE_CHOICE_OPTIONS"),
    ("Labels", ["new", "unheard of"], "INVALID_MULTIPLE_CHOICE_OPTIONS"),
    ("Labels", "new", "INVALID_VALUE_FOR_COLUMN"),
    ("Files", [{"id": "att1", "url": "https://x.test"}], "INVALID_ATTACHMENT_OBJECT"),
    ("Nowhere", "x", "UNKNOWN_FIELD_NAME"),
]


@pytest.mark.parametrize(("field", "value", "type_"), REFUSED)
def test_one_bad_cell_refuses_the_request_before_anything_is_written(field: str, value: Any, type_: str) -> None:
    desk = Desk()
    assert error(desk.upsert(row("good", Labels=["new"]), row("bad", **{field: value}))) == (422, type_)
    assert desk.rows == {}


def test_typecast_makes_new_choices_and_reads_numbers() -> None:
    desk = Desk()
    desk.upsert(row("a", Labels=["x, y", "new"], Status="open", Size="3"), typecast=True)
    assert desk.rows["a"] == {"Email ID": "a", "Labels": ["x, y", "new"], "Status": "open", "Size": 3.0}
    assert desk.table.fields[4].choices == ["new", "x, y"]
    assert desk.put(Labels=["x, y"]).status == 200, "the choice is there now"


def test_without_the_right_typecast_makes_no_choice() -> None:
    desk = Desk(creates_choices=False)
    assert error(desk.upsert(row("a", Status="open"), typecast=True)) == (422, "INVALID_MULTIPLE_CHOICE_OPTIONS")


def test_computed_fields_cannot_be_written() -> None:
    desk = Desk()
    desk.table.fields[7].type = "formula"
    answer = desk.put(Size=3)
    assert answer.json()["error"]["message"] == 'Field "Size" cannot accept a value because the field is computed'


@pytest.mark.parametrize("type_", ["INVALID_REQUEST_UNKNOWN", "INVALID_RECORDS"])
def test_several_matches_missing_ids_and_eleven_records_are_refused(type_: str) -> None:
    desk = Desk(many_matches=type_)
    key = desk.put().json()["records"][0]["id"]
    desk.world.copy_record(desk.table, key)
    assert error(desk.put(Body="x")) == (422, type_)
    assert desk.upsert({"id": key, **row("a", Body="x")}).status == 200, "an id is enough"
    assert error(desk.upsert({"id": "rec00000000000000", "fields": {}})) == (422, "ROW_DOES_NOT_EXIST")
    assert error(desk.upsert(*(row(str(number)) for number in range(11)))) == (422, "INVALID_RECORDS")
    assert error(desk.upsert({"fields": {"Body": "no key"}})) == (422, "INVALID_RECORDS")


def test_a_listing_comes_in_pages_whose_offsets_may_expire() -> None:
    desk = Desk()
    for start in range(0, 230, 10):
        desk.upsert(*(row(f"k{number}", Body="b") for number in range(start, start + 10)))
    first = desk.ask("GET", **{"fields[]": "Email ID"}).json()
    assert (len(first["records"]), set(first["records"][0]["fields"])) == (100, {"Email ID"})
    second = desk.ask("GET", offset=first["offset"]).json()
    third = desk.ask("POST", "/Emails/listRecords", {"offset": second["offset"]}).json()
    assert (len(third["records"]), "offset" in third) == (30, False)
    assert error(desk.ask("GET", offset="itr1/rec1")) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
    some = desk.ask("GET", filterByFormula="OR({Email ID}='k7', {Email ID}='k\\'8')").json()
    assert [record["fields"]["Email ID"] for record in some["records"]] == ["k7"]
    assert error(desk.ask("GET", filterByFormula="LEN({Email ID})")) == (422, "INVALID_FILTER_BY_FORMULA")


def test_a_record_is_read_and_deleted_by_id() -> None:
    desk = Desk()
    key = desk.put().json()["records"][0]["id"]
    assert desk.ask("GET", f"/Emails/{key}").json()["fields"] == {"Email ID": "a"}
    assert desk.ask("DELETE", **{"records[]": key}).json()["records"] == [{"id": key, "deleted": True}]
    assert error(desk.ask("GET", f"/Emails/{key}")) == (404, "MODEL_ID_NOT_FOUND")


def test_who_may_do_what() -> None:
    desk = Desk()
    desk.world.tokens[desk.sandbox.airtable_token] = frozenset({"data.records:read"})
    assert desk.ask("GET").status == 200
    assert error(desk.put()) == (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
    assert error(desk.ask("GET", "/Nothing")) == (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
    desk.world.tokens.clear()
    assert error(desk.sandbox.respond(Request("GET", "/v0/x/y", {}, {"Authorization": "Bearer pat"}))) == (401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize(
    ("spec", "type_"),
    [
        ({"name": "X", "type": "checkbox"}, "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"),
        ({"name": "X", "type": "singleLineText", "options": {}}, "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"),
        ({"name": "X", "type": "autoNumber"}, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE"),
        ({"name": "body", "type": "multilineText"}, "DUPLICATE_OR_EMPTY_FIELD_NAME"),
        ({"name": "X", "type": "dateTime", "options": {"timeZone": "UTC", "dateFormat": {}, "timeFormat": {}}},
         "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"),
        ({"name": "X", "type": "multilineText"}, ""),
    ],
)  # fmt: skip
def test_fields_are_made_as_documented(spec: dict[str, Any], type_: str) -> None:
    desk = Desk()
    token = {"Authorization": f"Bearer {desk.sandbox.airtable_token}"}
    path = f"/v0/meta/bases/{desk.world.base.id}/tables"
    answer = desk.sandbox.respond(Request("POST", f"{path}/{desk.table.id}/fields", {}, token, json.dumps(spec).encode()))
    assert answer.json()["name"] == "X" if answer.status == 200 else error(answer) == (422, type_)
    shown = desk.sandbox.respond(Request("GET", path, {}, token)).json()["tables"][1]
    assert (shown["name"], len(shown["fields"])) == ("Emails", len(FIELDS) + (not type_))


def test_a_request_too_many_locks_the_base_for_a_while() -> None:
    desk = Desk(MINUTE)
    assert [desk.put().status for _ in range(7)] == [200] * 5 + [429] * 2
    desk.clock.forward(29)
    answer = desk.put()
    assert (answer.status, answer.json()["errors"][0]["error"]) == (429, "RATE_LIMIT_REACHED")
    desk.clock.forward(2)
    assert desk.put().status == 200


def test_a_spent_month_refuses_records_but_not_the_schema() -> None:
    desk = Desk()
    desk.world.monthly_calls = 1
    assert [desk.put().status, desk.put().status] == [200, 429]
    assert desk.put().json()["errors"][0]["error"] == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
    token = {"Authorization": f"Bearer {desk.sandbox.airtable_token}"}
    assert desk.sandbox.respond(Request("GET", f"/v0/meta/bases/{desk.world.base.id}/tables", {}, token)).status == 200


def test_a_full_base_refuses_new_records_only() -> None:
    desk = Desk()
    desk.put()
    desk.world.record_cap = 1
    assert desk.put(Body="x").status == 200
    assert desk.upsert(row("b")).status == 422


@pytest.mark.parametrize(
    ("kind", "applied", "written"), [("502 html", True, 1), ("502 html", False, 0), ("429", True, 0), ("413", True, 0)]
)
def test_a_fault_comes_before_or_after_the_write(kind: str, applied: bool, written: int) -> None:
    desk = Desk()
    desk.sandbox.faults.at(1, Fault(Kind(kind), applied=applied), face="airtable")
    assert desk.put().status == int(kind[:3])
    assert len(desk.rows) == written


def link(desk: Desk) -> tuple[str, str, bytes]:
    """A fresh link to some attachment of the world, its name and its content."""
    missive = {"Authorization": f"Bearer {desk.sandbox.missive_token}"}
    message = next(each for each in desk.sandbox.world.missive.messages.values() if each.attachments)
    item = desk.sandbox.respond(Request("GET", f"/v1/messages/{message.id}", {}, missive)).json()["messages"]["attachments"][0]
    return item["url"], item["filename"], desk.sandbox.respond(Request.read("GET", item["url"], {})).body


@pytest.mark.parametrize("wait", [0, 7200])
def test_a_link_is_fetched_later_and_vanishes_without_a_word_when_it_has_expired(wait: int) -> None:
    desk = Desk(fetch_seconds=30)
    url, name, content = link(desk)
    desk.put(Files=[{"url": url, "filename": name}])
    assert set(desk.rows["a"]["Files"][0]) == {"id", "url", "filename"}
    desk.clock.forward(30 + wait)
    desk.ask("GET")
    assert [item["size"] for item in desk.rows["a"].get("Files", ())] == ([] if wait else [len(content)])


def test_an_upload_appends_and_keeping_goes_by_id() -> None:
    desk = Desk()
    key = desk.put().json()["records"][0]["id"]

    def upload(content: bytes) -> Response:
        file = {"contentType": "text/plain", "filename": "a.txt", "file": base64.encodebytes(content).decode()}
        return desk.ask("POST", f"/{key}/Files/uploadAttachment", file)

    assert [upload(b"one").status, upload(b"two").status, upload(b"x" * 5_000_001).status] == [200, 200, 413]
    first, second = desk.rows["a"]["Files"]
    assert (first["size"], desk.world.contents[second["id"]]) == (3, b"two")
    desk.put(Files=[{"id": second["id"]}])
    assert desk.rows["a"]["Files"] == [second]


