"""Everything that can happen in the two worlds, by lot: one call, one change."""

from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Any, TypeVar

from syncjob.sandbox import Sandbox

Pick = TypeVar("Pick")
DAY = 86_400
FAVOUR = 10
Change = Callable[[Any, Random], str | None]


def change(sandbox: Sandbox, rng: Random, faces: Sequence[str], favourites: Collection[str] = ()) -> str:
    """Change one thing; what was done, in words."""
    face = rng.choice(faces)
    verbs = TASK_VERBS if face == "teamwork" else MAIL_VERBS
    weights = [weight * (FAVOUR if name in favourites else 1) for name, (_, weight) in verbs.items()]
    name = rng.choices([*verbs], weights)[0]
    done = verbs[name][0](getattr(sandbox.world, face), rng)
    return f"{name} {done or 'nobody'}"


def great_change(sandbox: Sandbox, rng: Random, faces: Sequence[str]) -> str:
    """Change much at once: to a poller it looks like a great clean-up."""
    face = rng.choice(faces)
    act = rng.choice((_lose_the_largest_projects, _regain_all_projects) if face == "teamwork" else (_throw_many_away, _lose_many))
    return f"{act.__name__.strip('_').replace('_', ' ')} {act(getattr(sandbox.world, face), rng)}"


def _one(rng: Random, choices: Sequence[Pick]) -> Pick | None:
    return rng.choice(choices) if choices else None


def _word(rng: Random) -> str:
    return f"{rng.randrange(10**6):06}"


# -- Teamwork


def _task(world: Any, rng: Random, *, deleted: bool = False) -> Any:
    return _one(rng, [key for key, row in world.tasks.items() if (row.deleted_at is not None) == deleted])


def _list(world: Any, rng: Random) -> Any:
    """A list that tasks may be put into: not in the trash, no template."""
    return _one(rng, [row.id for row in world.tasklists.values() if world._is_open(row)])


def _projects(world: Any, test: Callable[[Any], bool]) -> list[int]:
    return [row.id for row in world.projects.values() if not row.template and test(row)]


def _on_task(act: Callable[[Any, int, Random], object], *, deleted: bool = False) -> Change:
    def do(world: Any, rng: Random) -> str | None:
        key = _task(world, rng, deleted=deleted)
        if key is not None:
            act(world, key, rng)
        return key and str(key)

    return do


def _add_task(world: Any, rng: Random) -> str | None:
    if (list_ := _list(world, rng)) is None:
        return None
    key = world.add_task(f"new {_word(rng)}", list_, user_ids=tuple(rng.sample([*world.people], rng.randrange(3))))
    if rng.random() < 0.3:
        world.add_task(f"below {_word(rng)}", parent_id=key)
    return str(key)


def _move_task(world: Any, key: int, rng: Random) -> None:
    if (list_ := _list(world, rng)) is not None:
        world.move_task(key, list_)


def _on_list(status: Callable[[str], bool], act: Callable[[Any, int, Random], object]) -> Change:
    def do(world: Any, rng: Random) -> str | None:
        key = _one(rng, [row.id for row in world.tasklists.values() if status(row.status)])
        if key is not None:
            act(world, key, rng)
        return key and str(key)

    return do


def _on_project(test: Callable[[Any], bool], act: Callable[[Any, int, Random], object]) -> Change:
    def do(world: Any, rng: Random) -> str | None:
        key = _one(rng, _projects(world, test))
        if key is not None:
            act(world, key, rng)
        return key and str(key)

    return do


def _lose_the_largest_projects(world: Any, rng: Random) -> str:
    keys = _projects(world, lambda row: world.me in row.members)
    for key in keys[: rng.randint(len(keys) // 2, len(keys))]:
        world.revoke_access(key)
    return f"{len(keys)}"


def _regain_all_projects(world: Any, rng: Random) -> str:
    for key in _projects(world, lambda row: world.me not in row.members):
        world.grant_access(key)
    return "all"


TASK_VERBS: dict[str, tuple[Change, int]] = {
    "task edited": (_on_task(lambda world, key, rng: world.edit_task(key, name=f"name {_word(rng)}")), 12),
    "task described": (_on_task(lambda world, key, rng: world.edit_task(key, description=rng.choice((None, "", f"text {_word(rng)}")))), 3),
    "task dated": (_on_task(lambda world, key, rng: world.edit_task(key, priority=rng.choice((None, "low", "high")), progress=40)), 3),
    "task added": (_add_task, 12),
    "task completed": (_on_task(lambda world, key, rng: world.complete_task(key)), 5),
    "task reopened": (_on_task(lambda world, key, rng: world.reopen_task(key)), 3),
    "task moved": (_on_task(_move_task), 6),
    "card moved": (_on_task(lambda world, key, rng: world.move_card(key, 3)), 2),
    "task tagged": (_on_task(lambda world, key, rng: world.tag_task(key, rng.choice([*world.tags]))), 4),
    "task untagged": (_on_task(lambda world, key, rng: world.untag_task(key, rng.choice([*world.tags]))), 2),
    "task assigned": (_on_task(lambda world, key, rng: world.assign_task(key, user_ids=(rng.choice([*world.people]),))), 4),
    "task made private": (_on_task(lambda world, key, rng: world.edit_task(key, privacy=1, private_to=frozenset({502}))), 1),
    "task deleted": (_on_task(lambda world, key, rng: world.delete_task(key)), 10),
    "task restored": (_on_task(lambda world, key, rng: world.restore_task(key), deleted=True), 8),
    "task purged": (_on_task(lambda world, key, rng: world.purge_task(key), deleted=True), 3),
    "live task purged": (_on_task(lambda world, key, rng: world.purge_task(key)), 2),
    "trash emptied": (lambda world, rng: world.empty_trash() or "all", 1),
    "list deleted": (_on_list(lambda status: status != "deleted", lambda world, key, rng: world.delete_tasklist(key)), 3),
    "list restored": (_on_list(lambda status: status == "deleted", lambda world, key, rng: world.restore_tasklist(key)), 3),
    "list completed": (_on_list(lambda status: status == "new", lambda world, key, rng: world.complete_tasklist(key)), 2),
    "list renamed": (_on_list(lambda status: True, lambda world, key, rng: world.rename_tasklist(key, f"list {_word(rng)}")), 1),
    "project archived": (_on_project(lambda row: row.status == "active", lambda world, key, rng: world.archive_project(key)), 2),
    "project unarchived": (_on_project(lambda row: row.status == "archived", lambda world, key, rng: world.unarchive_project(key)), 2),
    "project deleted": (_on_project(lambda row: row.status != "deleted", lambda world, key, rng: world.delete_project(key)), 2),
    "project restored": (_on_project(lambda row: row.status == "deleted", lambda world, key, rng: world.restore_project(key)), 3),
    "project renamed": (_on_project(lambda row: True, lambda world, key, rng: world.rename_project(key, f"project {_word(rng)}")), 1),
    "project lost": (_on_project(lambda row: 501 in row.members, lambda world, key, rng: world.revoke_access(key)), 2),
    "project gained": (_on_project(lambda row: 501 not in row.members, lambda world, key, rng: world.grant_access(key)), 3),
    "tag renamed": (lambda world, rng: world.rename_tag(rng.choice([*world.tags]), f"tag {_word(rng)}") or "one", 1),
    "person renamed": (lambda world, rng: world.rename_person(rng.choice([*world.people]), "Ann", _word(rng)) or "one", 1),
}  # fmt: skip


# -- Missive


def _thread(world: Any, rng: Random, test: Callable[[Any], bool] = lambda row: True) -> Any:
    return _one(rng, [key for key, row in world.conversations.items() if test(row)])


def _mine(row: Any, world: Any) -> Any:
    return row.flags.get(world.me)


def _on_thread(act: Callable[[Any, str, Random], object], test: Callable[[Any, Any], bool] = lambda world, row: True) -> Change:
    def do(world: Any, rng: Random) -> str | None:
        key = _thread(world, rng, lambda row: test(world, row))
        if key is not None:
            act(world, key, rng)
        return key and str(key)[:8]

    return do


def _on_message(act: Callable[[Any, str, Random], object], test: Callable[[Any], bool] = lambda row: not row.draft) -> Change:
    def do(world: Any, rng: Random) -> str | None:
        key = _one(rng, [key for key, row in world.messages.items() if test(row)])
        if key is not None:
            act(world, key, rng)
        return key and str(key)[:8]

    return do


def _many_mails(world: Any, key: str, rng: Random) -> None:
    """Within one second; no more than a page where the rest of it is out of the API's reach."""
    for _ in range(rng.randint(2, 3 if world.switches.missive_ties == "cut" else 12)):
        world.add_message(key)


def _new_thread(world: Any, rng: Random) -> str:
    return str(
        world.add_conversation(
            messages=rng.choice((1, 1, 2, 3, 3 if world.switches.missive_ties == "cut" else 12)), subject=f"new {_word(rng)}"
        )
    )[:8]


def _merge(world: Any, rng: Random) -> str | None:
    keys = [*world.conversations]
    if len(keys) < 2:
        return None
    one, other = rng.sample(keys, 2)
    world.merge(one, into=other, swap=rng.random() < 0.4)
    return f"{one[:8]} {other[:8]}"


def _throw_many_away(world: Any, rng: Random) -> str:
    keys = [key for key, row in world.conversations.items() if (mine := _mine(row, world)) and not mine.trashed]
    for key in keys[: rng.randint(len(keys) // 3, len(keys))]:
        world.trash(key)
    return f"{len(keys)}"


def _lose_many(world: Any, rng: Random) -> str:
    keys = [key for key, row in world.conversations.items() if _mine(row, world)]
    for key in keys[: rng.randint(len(keys) // 2, len(keys))]:
        world.revoke_access(key)
    return f"{len(keys)}"


def _edit(world: Any, key: str, rng: Random) -> None:
    field = rng.choice(("subject", "body")) if world.messages[key].type == "email" else "body"
    text = f"{field} {_word(rng)}"
    world.edit_message(key, **{field: text if field == "subject" else f"<div>{text}</div>"})
    if rng.random() < 0.5:
        world.add_comment(world.messages[key].conversation_id)


def _other(world: Any) -> str:
    return [*world.users][1]


def _is_shared(world: Any, row: Any) -> bool:
    return _other(world) in row.flags


def _trashed(world: Any, row: Any) -> bool:
    return bool(_mine(row, world) and _mine(row, world).trashed)


def _junked(world: Any, row: Any) -> bool:
    return bool(_mine(row, world) and _mine(row, world).junked)


def _kept(world: Any, row: Any) -> bool:
    return bool(_mine(row, world)) and not _trashed(world, row) and not _junked(world, row)


MAIL_VERBS: dict[str, tuple[Change, int]] = {
    "mail": (_on_thread(lambda world, key, rng: world.add_message(key, subject=f"mail {_word(rng)}")), 14),
    "mails": (_on_thread(_many_mails), 2),
    "late mail": (_on_thread(lambda world, key, rng: world.add_message(key, delivered_at=world.now() - rng.randrange(90 * DAY))), 4),
    "new thread": (_new_thread, 8),
    "message edited": (_on_message(_edit), 8),
    "message redacted": (_on_message(lambda world, key, rng: world.redact_message(key)), 1),
    "message deleted": (_on_message(lambda world, key, rng: world.delete_message(key)), 6),
    "labelled": (_on_thread(lambda world, key, rng: world.label(key, rng.choice([*world.labels]))), 6),
    "unlabelled": (_on_thread(lambda world, key, rng: world.unlabel(key, rng.choice([*world.labels]))), 3),
    "label renamed": (lambda world, rng: world.rename_label(rng.choice([*world.labels]), f"label {_word(rng)}") or "one", 1),
    "thread renamed": (_on_thread(lambda world, key, rng: world.rename_conversation(key, f"subject {_word(rng)}")), 2),
    "trashed": (_on_thread(lambda world, key, rng: world.trash(key), _kept), 8),
    "untrashed": (_on_thread(lambda world, key, rng: world.untrash(key), _trashed), 8),
    "junked": (_on_thread(lambda world, key, rng: world.junk(key), _kept), 3),
    "unjunked": (_on_thread(lambda world, key, rng: world.unjunk(key), _junked), 3),
    "trashed by another": (_on_thread(lambda world, key, rng: world.trash(key, _other(world)), _is_shared), 1),
    "merged": (_merge, 5),
    "thread deleted": (_on_thread(lambda world, key, rng: world.delete_conversation(key)), 3),
    "thread lost": (_on_thread(lambda world, key, rng: world.revoke_access(key, guest=rng.random() < 0.3)), 3),
    "thread gained": (_on_thread(lambda world, key, rng: world.grant_access(key), lambda world, row: world.me not in row.flags), 3),
    "draft": (_on_thread(lambda world, key, rng: world.add_draft(key)), 2),
    "draft sent": (_on_message(lambda world, key, rng: world.send_draft(key), lambda row: row.draft), 2),
    "draft discarded": (_on_message(lambda world, key, rng: world.discard_draft(key), lambda row: row.draft), 1),
    "comment": (_on_thread(lambda world, key, rng: world.add_comment(key)), 2),
    "closed": (_on_thread(lambda world, key, rng: world.close(key)), 2),
    "archived": (_on_thread(lambda world, key, rng: world.archive(key), _kept), 1),
}  # fmt: skip
