"""The rows of a task list request, found without sorting or filtering the whole site for each page."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

from ..exchange import Request
from ..listing import ascending, descending
from .paging import Paging, check_end, page_meta
from .query import TaskQuery, matcher, since
from .things import Task
from .world import TeamworkWorld

KEPT_ANSWERS = 4  # complete answers kept for the next page of the same walk
ORDER_NAMES = {"dateupdated": "updatedat", "updatedat": "updatedat", "dateadded": "createdat", "createdat": "createdat"}
ORDER_NAMES |= {"completedat": "completedat", "id": "id", "duedate": "duedate"}

Complete = tuple[tuple[int, int], list[Task]]  # the revisions it belongs to, and all rows of the answer


class TaskPages:
    """Pages of tasks, the first read off the sorted listing, later ones out of the complete answer, kept until the world changes."""

    def __init__(self, world: TeamworkWorld) -> None:
        self._world = world
        self._kept: dict[tuple[TaskQuery, str, bool], Complete] = {}
        self._asked = 0

    def page(self, request: Request, query: TaskQuery, paging: Paging, *, nested: bool = False) -> tuple[list[Task], dict[str, Any]]:
        """The tasks of one page, and its `meta`. Nested: only top tasks are rows, see `below`."""
        self._world.listing.settle(self._world.clock())
        query = replace(query, nested=nested)
        self._asked += 1
        order, downwards = self._order(request)
        if paging.page == 1 and (paging.skip_counts or self._world.switches.teamwork_count != "exact"):
            found = list(islice(self._rows(query, order, downwards=downwards), paging.end + 1))
            total = None
        else:
            found = self._complete(query, order, downwards=downwards)
            total = len(found)
        shown = found[paging.start : paging.end]
        check_end(paging, len(shown), self._world.switches)
        more = len(found) > paging.end and (paging.cap is None or paging.end < paging.cap)
        return shown, page_meta(paging, shown=len(shown), more=more, total=total, switches=self._world.switches)

    def below(self, task: Task, query: TaskQuery) -> list[Task]:
        """The tasks under a row of a nested page that the query lets through, at any depth."""
        matches = matcher(replace(query, nested=False), self._world)
        return [child for child in self._world.family(task.id) if child.id != task.id and matches(child)]

    def _order(self, request: Request) -> tuple[str, bool]:
        order = ORDER_NAMES.get((request.param("orderBy") or "duedate").lower(), "duedate")
        if order == "id" and not self._world.switches.teamwork_order_by_id:
            order = "duedate"
        return order, (request.param("orderMode") or "asc").lower() == "desc"

    def _complete(self, query: TaskQuery, order: str, *, downwards: bool) -> list[Task]:
        if self._world.switches.teamwork_tie_order == "shuffled":
            return list(self._rows(query, order, downwards=downwards))
        key, revision = (query, order, downwards), (self._world.revision, self._world.listing.revision)
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != revision:
            kept = revision, list(self._rows(query, order, downwards=downwards))
        self._kept[key] = kept  # the newest goes last, the oldest is forgotten
        for old in list(self._kept)[:-KEPT_ANSWERS]:
            del self._kept[old]
        return kept[1]

    def _rows(self, query: TaskQuery, order: str, *, downwards: bool) -> Iterator[Task]:
        if query.ids is not None:
            return self._chosen(query.ids, order, matcher(query, self._world), downwards=downwards)
        listing = self._world.listing
        pairs = listing.order(order)
        if downwards:
            walked = descending(pairs, len(pairs) - 1)
        else:
            walked = ascending(pairs, since(query, self._world) if order == "updatedat" else None)
        if self._world.switches.teamwork_tie_order == "shuffled":
            walked = self._shuffled(walked)
        return filter(matcher(query, self._world), (listing.rows[task_id] for _, task_id in walked))

    def _chosen(self, ids: Iterable[int], order: str, matches: Callable[[Task], bool], *, downwards: bool) -> Iterator[Task]:
        listing = self._world.listing
        value = listing.value(order)
        rows = [listing.rows[task_id] for task_id in ids if task_id in listing.rows]
        return filter(matches, sorted(rows, key=lambda task: (value(task), task.id), reverse=downwards))

    def _shuffled(self, pairs: Iterable[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
        """Ties in another order for each request."""
        for _, ties in groupby(pairs, key=lambda pair: pair[0]):
            yield from sorted(ties, key=lambda pair: zlib.crc32(f"{self._asked}:{pair[1]}".encode()))
