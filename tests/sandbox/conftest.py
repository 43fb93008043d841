"""A sandbox with a clock that stands until it is moved, and two short ways to ask it something."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from syncjob.sandbox import Limits, Request, Response, Sandbox, Switches

TUESDAY = 1_767_700_000

EVERYTHING = {  # every flag that shows what Teamwork hides by default
    "includeCompletedTasks": "true",
    "includeArchivedProjects": "true",
    "showCompletedLists": "true",
    "includeTasksWithoutDueDates": "true",
    "includePrivateItems": "true",
    "getSubTasks": "true",
    "nestSubTasks": "false",
    "includeTentativeProjects": "true",
}


@dataclass
class Clock:
    """A clock to move by hand."""

    time: float = TUESDAY

    def __call__(self) -> float:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Caller:
    """Asks a sandbox in process, with the right credentials."""

    sandbox: Sandbox
    clock: Clock = field(default_factory=Clock)

    def teamwork(self, path: str, **params: Any) -> Response:
        token = base64.b64encode(f"{self.sandbox.teamwork_key}:x".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}
        return self.sandbox.respond(Request("GET", f"/projects/api/v3/{path}", params, headers))

    def missive(self, path: str, **params: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.sandbox.missive_token}"}
        return self.sandbox.respond(Request("GET", f"/v1/{path}", {name: str(value) for name, value in params.items()}, headers))

    def task_ids(self, **params: Any) -> list[int]:
        """The ids on one big page."""
        answer = self.teamwork("tasks.json", **{"pageSize": "500", "orderBy": "id", **params})
        assert answer.status == 200, answer.body
        return [row["id"] for row in answer.json()["tasks"]]

    def task(self, task_id: int, **params: Any) -> dict[str, Any]:
        """One task by id."""
        answer = self.teamwork(f"tasks/{task_id}.json", **params)
        assert answer.status == 200
        return dict(answer.json()["task"])

    def conversation_ids(self, mailbox: str = "all", **params: Any) -> list[str]:
        """The ids on one page of a mailbox."""
        answer = self.missive("conversations", **{mailbox: "true", "limit": 50, **params})
        assert answer.status == 200, answer.body
        return [row["id"] for row in answer.json()["conversations"]]

    def conversation(self, conversation_id: str) -> dict[str, Any]:
        """One conversation by id."""
        answer = self.missive(f"conversations/{conversation_id}")
        assert answer.status == 200
        return dict(answer.json()["conversations"][0])


MakeCaller = Callable[..., Caller]


@pytest.fixture
def call_with() -> MakeCaller:
    """Makes a sandbox with chosen switches."""

    def make(*, tasks: int = 60, conversations: int = 30, seed: int = 1, limits: Limits | None = None, **switches: Any) -> Caller:
        clock = Clock()
        return Caller(Sandbox(seed, tasks, conversations, switches=Switches(**switches), clock=clock, limits=limits), clock)

    return make


@pytest.fixture
def call(call_with: MakeCaller) -> Caller:
    """A small seeded sandbox with the default switches."""
    return call_with()
