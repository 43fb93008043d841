"""Airtable's Web API over the bases: requests in, responses out, no sockets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..exchange import Refused, Request, Response, json_response
from ..routes import Routes
from .errors import invalid, not_found, refusal
from .formula import matches
from .schema import field_json, new_field, new_table, table_json
from .things import Base, Field, Record, Table
from .world import AirtableWorld
from .writes import parsed, write

PAGE = 100
UPLOAD_BYTES = 5_000_000
LONGEST_URL = 16_000


class AirtableFace:
    """Answers as Airtable does, on its API host and on its content host."""

    name = "airtable"

    def __init__(self, world: AirtableWorld) -> None:
        self.world = world
        self._offsets: dict[str, list[str]] = {}
        self._routes: Routes[Response] = Routes(
            [
                ("/v0/meta/whoami", self._whoami),
                ("/v0/meta/bases/{base}/tables", self._tables),
                ("/v0/meta/bases/{base}/tables/{table}/fields", self._fields),
                ("/v0/{base}/{record}/{field}/uploadAttachment", self._upload),
                ("/v0/{base}/{table}/listRecords", self._list),
                ("/v0/{base}/{table}/{record}", self._one),
                ("/v0/{base}/{table}", self._many),
            ]
        )

    def respond(self, request: Request) -> Response:
        """The answer to any request; links that are due are fetched first."""
        self.world.tick()
        try:
            found = self._routes.find(request.path)
            if found is None:
                return not_found()
            scopes = self._scopes(request)
            self._count(request)
            return found[0](request, scopes, *found[1])
        except Refused as refused:
            return refused.response

    # --- who, and how often ---

    def _scopes(self, request: Request) -> frozenset[str]:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme != "Bearer" or token not in self.world.tokens:
            raise Refused(refusal(401, "AUTHENTICATION_REQUIRED", "Authentication required"))
        return self.world.tokens[token]

    def _count(self, request: Request) -> None:
        """Count against the month; metadata is still answered when that is used up."""
        self.world.calls += 1
        most = self.world.monthly_calls
        if most is not None and self.world.calls > most and not request.path.startswith("/v0/meta/"):
            message = "The API billing plan limit has been exceeded"
            raise Refused(refusal(429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", message, shape=self.world.switches.limit_body))

    def _base(self, base_id: str, scopes: frozenset[str], scope: str) -> Base:
        base = self.world.bases.get(base_id)
        if base is None or scope not in scopes:
            raise Refused(not_found() if base is None and self.world.switches.missing_base == 404 else _no_access())
        return base

    def _table(self, base: Base, name: str) -> Table:
        table = base.find_table(name)
        if table is None:
            raise Refused(_no_access())
        return table

    def _whoami(self, request: Request, scopes: frozenset[str]) -> Response:
        return json_response(200, {"id": "usr00000000000000"})

    # --- schema ---

    def _tables(self, request: Request, scopes: frozenset[str], base_id: str) -> Response:
        if request.method == "GET":
            base = self._base(base_id, scopes, "schema.bases:read")
            return json_response(200, {"tables": [table_json(table) for table in base.tables]})
        base = self._base(base_id, scopes, "schema.bases:write")
        table = new_table(base, parsed(request.body), self.world.new_id, self.world.switches)
        base.tables.append(table)
        return json_response(200, table_json(table))

    def _fields(self, request: Request, scopes: frozenset[str], base_id: str, table_id: str) -> Response:
        base = self._base(base_id, scopes, "schema.bases:write")
        table = next((each for each in base.tables if each.id == table_id), None)
        if table is None or request.method != "POST":
            return not_found()
        field = new_field(table, parsed(request.body), self.world.new_id, self.world.switches)
        table.fields.append(field)
        return json_response(200, field_json(field))

    # --- records ---

    def _many(self, request: Request, scopes: frozenset[str], base_id: str, table_name: str) -> Response:
        if request.method == "GET":
            return self._list(request, scopes, base_id, table_name)
        base = self._base(base_id, scopes, "data.records:write")
        table = self._table(base, table_name)
        if request.method == "DELETE":
            return self._delete(request, table)
        body = parsed(request.body)
        if request.method == "POST" and set(body) <= {"fields", "typecast", "returnFieldsByFieldId"}:
            records, _ = write(self.world, base, table, {**_flags(body), "records": [{"fields": body.get("fields")}]}, method="POST")
            return json_response(200, self._record(table, records[0], by_id=bool(body.get("returnFieldsByFieldId"))))
        records, new = write(self.world, base, table, body, method=request.method)
        shown: dict[str, Any] = {"records": [self._record(table, each, by_id=bool(body.get("returnFieldsByFieldId"))) for each in records]}
        if "performUpsert" in body:
            shown |= {"createdRecords": new, "updatedRecords": [each.id for each in records if each.id not in new]}
        return json_response(200, shown)

    def _one(self, request: Request, scopes: frozenset[str], base_id: str, table_name: str, record_id: str) -> Response:
        base = self._base(base_id, scopes, "data.records:read" if request.method == "GET" else "data.records:write")
        table = self._table(base, table_name)
        record = table.records.get(record_id)
        if record is None:
            return refusal(404, "MODEL_ID_NOT_FOUND", "Record not found")
        if request.method == "DELETE":
            del table.records[record_id]
            return json_response(200, {"id": record_id, "deleted": True})
        if request.method in ("PATCH", "PUT"):
            body = parsed(request.body)
            given = [{"id": record_id, "fields": body.get("fields")}]
            write(self.world, base, table, {**_flags(body), "records": given}, method=request.method)
        return json_response(200, self._record(table, record, by_id=request.param("returnFieldsByFieldId") in ("1", "true")))

    def _delete(self, request: Request, table: Table) -> Response:
        given = request.params.get("records[]", ())
        ids = [given] if isinstance(given, str) else list(given)
        if not 0 < len(ids) <= 10 or not set(ids) <= table.records.keys():
            raise invalid("INVALID_RECORDS", "Record not found")
        for key in ids:
            del table.records[key]
        return json_response(200, {"records": [{"id": key, "deleted": True} for key in ids]})

    def _list(self, request: Request, scopes: frozenset[str], base_id: str, table_name: str) -> Response:
        """A page; the rest of the listing is kept behind its offset."""
        base = self._base(base_id, scopes, "data.records:read")
        table = self._table(base, table_name)
        asked = parsed(request.body) if request.method == "POST" else _query(request)
        size = int(asked.get("pageSize", PAGE))
        if not 0 < size <= PAGE:
            raise invalid("INVALID_PAGE_SIZE", f"pageSize must be at most {PAGE}")
        left = self._listed(table, asked)
        page, rest = left[:size], left[size:]
        only = [self._known_field(table, name).id for name in asked.get("fields", ())] if asked.get("fields") else None
        records = [table.records[key] for key in page if key in table.records]
        by_id = asked.get("returnFieldsByFieldId") in ("1", "true", True)
        shown: dict[str, Any] = {"records": [self._record(table, each, by_id=by_id, only=only) for each in records]}
        if rest:
            shown["offset"] = f"itr{self.world.new_id('')}/{page[-1]}"
            self._offsets[shown["offset"]] = rest
        return json_response(200, shown)

    def _listed(self, table: Table, asked: dict[str, Any]) -> list[str]:
        if offset := asked.get("offset"):
            if offset not in self._offsets:
                raise invalid("LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "The offset has expired")
            return self._offsets[offset]
        formula = asked.get("filterByFormula")
        found = matches(formula, table) if formula else list(table.records.values())
        return [record.id for record in found]

    def expire_offsets(self) -> None:
        """Forget every listing under way."""
        self._offsets.clear()

    def _known_field(self, table: Table, name: str) -> Field:
        field = table.find_field(name)
        if field is None:
            raise invalid("UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')
        return field

    def _record(self, table: Table, record: Record, *, by_id: bool, only: Sequence[str] | None = None) -> dict[str, Any]:
        names = {field.id: field.id if by_id else field.name for field in table.fields if only is None or field.id in only}
        cells = {names[key]: value for key, value in record.cells.items() if key in names}
        created = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {"id": record.id, "createdTime": created, "fields": cells}

    # --- the content host (section 4) ---

    def _upload(self, request: Request, scopes: frozenset[str], base_id: str, record_id: str, field_name: str) -> Response:
        base = self._base(base_id, scopes, "data.records:write")
        table = next((each for each in base.tables if record_id in each.records), None)
        if table is None:
            return refusal(404, "MODEL_ID_NOT_FOUND", "Record not found")
        body, record, field = parsed(request.body), table.records[record_id], self._known_field(table, field_name)
        if field.type != "multipleAttachments" or set(body) != {"contentType", "filename", "file"}:
            raise invalid("INVALID_REQUEST_BODY", "An upload needs contentType, filename and file")
        try:
            content = base64.b64decode(body["file"])
        except (binascii.Error, TypeError):
            raise invalid("INVALID_REQUEST_BODY", "The file is not base64") from None
        if (len(content) if self.world.switches.upload_limit == "raw" else len(body["file"])) > UPLOAD_BYTES:
            return refusal(self.world.switches.too_large, "INVALID_REQUEST_BODY", "The file is too large")
        self.world.add_file(record, field, body["filename"], body["contentType"], content)
        created = self._record(table, record, by_id=True)["createdTime"]
        return json_response(200, {"id": record_id, "createdTime": created, "fields": {field.id: record.cells[field.id]}})


def _no_access() -> Response:
    return refusal(403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "Invalid permissions, or the requested model was not found")


def _flags(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "fields"}


def _query(request: Request) -> dict[str, Any]:
    """A listing's parameters as `listRecords` takes them."""
    if len(request.path) + sum(len(str(value)) for value in request.params.values()) > LONGEST_URL:
        raise Refused(refusal(413, "URL_TOO_LONG"))
    asked: dict[str, Any] = {name: value for name, value in request.params.items() if not name.endswith("[]")}
    fields = request.params.get("fields[]", ())
    return {**asked, "fields": [fields] if isinstance(fields, str) else list(fields)}
