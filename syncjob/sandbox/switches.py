"""Every fact about the vendors that nobody knows for sure, as a switch.

The defaults are the most likely truth. A client that is right passes with every switch in every position; `Switches.variations()`
yields them one by one. Names start with the vendor; comments cite the reference where the doubt is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

Position = TypeVar("Position")


def _switch(default: Position, *others: Position) -> Position:
    return field(default=default, metadata={"positions": (default, *others)})


class Positions:
    """A set of switches: a frozen dataclass whose every field is made by `_switch`."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Refuse a misspelt position. Numbers may be anything."""
        for name, positions in self.choices().items():
            value = getattr(self, name)
            if value not in positions and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError(f"{name}={value!r}: the positions are {positions}")

    @classmethod
    def choices(cls) -> dict[str, tuple[Any, ...]]:
        """Every switch with its positions, the default first."""
        return {spec.name: spec.metadata["positions"] for spec in fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def variations(cls) -> Iterator[tuple[str, Any, Self]]:
        """Each position that is not a default, in turn: the switch, the position, and all switches with only that one turned."""
        for name, positions in cls.choices().items():
            for position in positions[1:]:
                yield name, position, cls(**{name: position})


@dataclass(frozen=True, slots=True)
class Switches(Positions):
    """One position for every unknown of both sources' references."""

    # --- Teamwork, which rows a list shows (reference sections 2, 3, 6, 11) ---
    teamwork_show_deleted: str = _switch("include", "replace")  # replace: the list holds only deleted rows
    teamwork_deleted_only: bool = _switch(True, False)  # False: the parameter is ignored
    teamwork_hide_deleted: bool = _switch(True, False)  # False: `hideDeleted` is ignored, a deleted task answers 200
    teamwork_deleted_marks: str = _switch("both", "status", "deletedAt", "none")  # how a deleted row says that it is deleted
    teamwork_ids_list_deleted: bool = _switch(False, True)  # `ids` lists deleted rows without `showDeleted`
    teamwork_ids_lift_hiding: bool = _switch(False, True)  # `ids` shows completed, archived … rows without their flags
    teamwork_deleted_lists_flag: bool = _switch(True, False)  # False: `includeTasksFromDeletedLists` is ignored
    teamwork_task_of_deleted_list: str = _switch("200", "404 if hideDeleted", "404")  # GET by id; also for a deleted project
    teamwork_cascade: str = _switch("hides", "marks")  # deleting a list or project: tasks hidden as they are, or marked deleted
    teamwork_tentative_hidden: bool = _switch(True, False)
    teamwork_private_shown: bool = _switch(True, False)  # without `includePrivateItems`
    teamwork_subtasks_shown: bool = _switch(True, False)  # without `getSubTasks`
    teamwork_subtasks_nested: bool = _switch(False, True)  # without `nestSubTasks`
    teamwork_updated_after: str = _switch("inclusive", "exclusive")
    teamwork_old_updated_after: str = _switch("unlimited", "six months")  # section 7: limited to the last six months
    teamwork_lag_seconds: int = _switch(0, 30, 60)  # a change reaches the lists this much later
    teamwork_lost_access: int = _switch(404, 403)  # GET by id of what the key's user may not see

    # --- Teamwork, paging (sections 2, 3) ---
    teamwork_page_size_above_max: str = _switch("clamped", "400")
    teamwork_page_past_end: str = _switch("empty", "400")
    teamwork_meta: bool = _switch(True, False)  # False: no `meta` at all
    teamwork_count: str = _switch("exact", "lower bound")
    teamwork_cap: int = _switch(50_000, 500)  # rows of one query, over all its pages
    teamwork_at_cap: str = _switch("ends", "400", "unlimited")  # ends: `hasMore` turns false there
    teamwork_order_by_id: bool = _switch(True, False)  # False: `orderBy=id` is ignored
    teamwork_tie_order: str = _switch("stable", "shuffled")  # rows with one stamp, from request to request

    # --- Teamwork, what a row looks like (section 3) ---
    teamwork_sparse_fields: bool = _switch(True, False)  # False: `fields[…]` is ignored
    teamwork_tags: str = _switch("both", "tags missing", "tagIds null")
    teamwork_due_date: str = _switch("midnight", "date")
    teamwork_tasklist_meta: bool = _switch(True, False)
    teamwork_project_id: bool = _switch(False, True)
    teamwork_completed_field: str = _switch("completedAt", "completedOn")
    teamwork_no_priority: str | None = _switch(None, "", "none")
    teamwork_people_as: str = _switch("id", "relationship")  # `createdBy`, `updatedBy`, `completedBy`, `deletedBy`
    teamwork_sideloads: str = _switch("all", "partial", "empty", "absent")  # partial: tags, teams and companies are missing
    teamwork_not_found_body: str = _switch("empty", "json")

    # --- Teamwork, what moves `updatedAt` (section 6) ---
    teamwork_delete_bumps: bool = _switch(True, False)
    teamwork_restore_bumps: bool = _switch(True, False)
    teamwork_tag_bumps: bool = _switch(True, False)
    teamwork_move_bumps: bool = _switch(True, False)
    teamwork_archive_bumps: bool = _switch(False, True)
    teamwork_list_delete_bumps: bool = _switch(False, True)

    # --- Teamwork, limits (section 7) ---
    teamwork_limit_signal: str = _switch("429 json", "429 empty", "429 text", "400")
    teamwork_limit_reset: str = _switch("seconds", "epoch", "missing")
    teamwork_limit_headers: str = _switch("x-ratelimit", "X-Rate-Limit", "none")

    # --- Missive, lists (reference sections 2, 3, 10) ---
    missive_ties: str = _switch("included", "cut")  # rows tied at a page's last second
    missive_all_includes_trash: bool = _switch(False, True)  # and junk
    missive_mailboxes_together: str = _switch("all must match", "first counts", "400")  # two mailbox filters in one request
    missive_conversation_limit: int = _switch(50, 10)
    missive_permission_shortens: bool = _switch(False, True)  # `limit` counts rows that are then left out
    missive_page_repeats_row: bool = _switch(False, True)  # a page starts with a row newer than `until`
    missive_lag_seconds: int = _switch(0, 30, 60)
    missive_late_import: str = _switch("now", "own date")  # activity of a message that arrives with an old date
    missive_counts_drafts: bool = _switch(False, True)  # in `messages_count`
    missive_delete_lowers_count: bool = _switch(True, False)

    # --- Missive, objects by id (sections 3, 4, 5) ---
    missive_batch_dead_id: str = _switch("omitted", "404")
    missive_batch_order: str = _switch("asked", "reversed", "newest first")
    missive_batch_max: int = _switch(50, 25, 10)
    missive_lost_access: int = _switch(404, 403)
    missive_not_found_body: str = _switch("json", "empty")
    missive_malformed_id: int = _switch(400, 404)
    missive_merged_children: str = _switch("survivor", "404")  # `/conversations/:old/messages`
    missive_draft_keeps_id: bool = _switch(True, False)  # when it is sent
    missive_redacted: str = _switch("missing", "null", "empty")
    missive_redacts_recipients: bool = _switch(False, True)
    missive_closed_at: bool = _switch(True, False)
    missive_external_authors: bool = _switch(True, False)
    missive_created_at: bool = _switch(True, False)  # of conversations
    missive_author: str = _switch("null when received", "absent when received", "absent")
    missive_label_extras: bool = _switch(True, False)
    missive_link_seconds: int = _switch(3600, 60)  # how long a signed link works

    # --- Missive, what moves `last_activity_at` (section 2) and `updated_at` (section 4) ---
    missive_label_bumps: bool = _switch(False, True)
    missive_assign_bumps: bool = _switch(True, False)
    missive_close_bumps: bool = _switch(True, False)
    missive_trash_bumps: bool = _switch(False, True)  # also junk
    missive_merge_bumps: bool = _switch(True, False)
    missive_delete_bumps: bool = _switch(False, True)
    missive_draft_bumps: bool = _switch(False, True)
    missive_subject_bumps: bool = _switch(False, True)
    missive_edit_bumps: bool = _switch(False, True)
    missive_edit_moves_updated_at: bool = _switch(True, False)

    # --- Missive, limits (section 7) ---
    missive_limit_headers_always: bool = _switch(False, True)
    missive_limit_body: str = _switch("json", "empty")


@dataclass(frozen=True, slots=True)
class AirtableSwitches(Positions):
    """One position for every unknown of Airtable (destinations reference, sections 2 to 8)."""

    # --- writing (sections 2, 3, 8, 12) ---
    many_matches: str = _switch("INVALID_REQUEST_UNKNOWN", "INVALID_RECORDS")  # the error of an upsert that matches several records
    twice_in_one: str = _switch("creates two", "422")  # the same new key twice in one upsert
    empty_key: str = _switch("creates", "422")
    folds_case: bool = _switch(False, True)  # an upsert's match ignores case
    control_characters: str = _switch("422", "kept")  # C0 but tab and line ends, and lone surrogates
    long_text: str = _switch("422", "cut")  # above 100,000 UTF-16 units
    time_in_date: str = _switch("422", "cut")  # a date-time in a date field
    creates_choices: bool = _switch(True, False)  # whether the token's user may add choices to a select field
    empty_choices: bool = _switch(True, False)  # whether a select field may be made without any

    # --- attachments (section 4) ---
    fetch_seconds: int = _switch(0, 30)  # how long until a link that was written is downloaded
    too_large: int = _switch(413, 422)  # the answer to an upload above the limit
    upload_limit: str = _switch("raw", "encoded")  # what the 5 MB are counted of

    # --- limits and errors (sections 6, 8) ---
    limit_body: str = _switch("errors", "error")
    lockout_extends: bool = _switch(False, True)  # requests during a lock-out prolong it
    full_base: str = _switch("INVALID_REQUEST_UNKNOWN", "ROW_LIMIT_EXCEEDED")  # the error of one record too many
    missing_base: int = _switch(403, 404)
