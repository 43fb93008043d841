"""`python tap_tasks.py URL [STATE]`: a tap made with singer-sdk, as documented. It prints for target-postgres."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BasePageNumberPaginator

WHOLE = "id tasklistId parentTaskId progress displayOrder decimalDisplayOrder isPrivate estimateMinutes accumulatedEstimatedMinutes " \
    "createdBy createdByUserId updatedBy completedBy sequenceId"  # fmt: skip
TEXT = "name description descriptionContentType status priority"
TIME = "createdAt updatedAt dateUpdated completedAt startDate dueDate"
LISTS = "tags assignees assigneeUsers assigneeCompanies assigneeTeams tagIds assigneeUserIds assigneeCompanyIds assigneeTeamIds " \
    "workflowStages attachments commentFollowers changeFollowers"  # fmt: skip
OBJECTS = "tasklist parentTask userPermissions"
FLAGS = "hasDeskTickets notify isArchived"
LIST, OBJECT = th.CustomType({"type": ["array", "null"]}), th.CustomType({"type": ["object", "null"]})
KINDS = ((WHOLE, th.IntegerType), (TEXT, th.StringType), (TIME, th.DateTimeType), (LISTS, LIST), (OBJECTS, OBJECT), (FLAGS, th.BooleanType))
URL = urlsplit(sys.argv[1])


class Pages(BasePageNumberPaginator):
    def has_more(self, response: Any) -> bool:
        return bool(response.json()["meta"]["page"]["hasMore"])


class Tasks(RESTStream):
    name, path, url_base = "tasks", URL.path, f"{URL.scheme}://{URL.netloc}"
    primary_keys, replication_key, is_sorted = ("id",), "updatedAt", True
    records_jsonpath = "$.tasks[*]"
    schema = th.PropertiesList(*(th.Property(name, kind) for names, kind in KINDS for name in names.split())).to_dict()

    def get_new_paginator(self) -> Pages:
        return Pages(start_value=1)

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        since = self.get_starting_replication_key_value(context)
        return {**dict(parse_qsl(URL.query)), "pageSize": 250, "page": next_page_token, **({"updatedAfter": since} if since else {})}


class TeamworkTap(Tap):
    name = "tap-teamwork"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self) -> list[Tasks]:
        return [Tasks(self)]


if __name__ == "__main__":
    state = json.loads(Path(sys.argv[2]).read_text()) if sys.argv[2:] else None
    TeamworkTap(config={}, state=state).sync_all()
