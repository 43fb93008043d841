"""Seeded edits of a world, of those kinds that a changes walk can see."""

from random import Random

from syncjob.sandbox import Sandbox


def edit(sandbox: Sandbox, rng: Random) -> None:
    """Change one thing."""
    rng.choice((edit_tasks, edit_mails))(sandbox, rng)


def edit_tasks(sandbox: Sandbox, rng: Random) -> None:
    world = sandbox.world.teamwork
    task = rng.choice([key for key, row in world.tasks.items() if row.deleted_at is None])
    lists = [row.id for row in world.tasklists.values() if row.status != "deleted" and row.project_id > 7706]
    verbs = {
        "edit": lambda: world.edit_task(task, name=f"name {rng.random()}"),
        "complete": lambda: world.complete_task(task),
        "reopen": lambda: world.reopen_task(task),
        "tag": lambda: world.tag_task(task, rng.choice([*world.tags])),
        "assign": lambda: world.assign_task(task, user_ids=(rng.choice([*world.people]),)),
        "add": lambda: world.add_task(f"new {rng.random()}", rng.choice(lists)),
        "move": lambda: world.move_task(task, rng.choice(lists)),
        "delete": lambda: world.delete_task(task),
        "card": lambda: world.move_card(task, 3),
    }
    verbs[rng.choice([*verbs, "edit", "edit", "add", "add"])]()


def edit_mails(sandbox: Sandbox, rng: Random) -> None:
    """Changes that do not count as activity are followed by a comment, which does.

    Left to the sweep, and so left out: what is merged into trash, and edits below a thread's first page.
    Therefore a world either merges or throws away.
    """
    world = sandbox.world.missive
    reachable = [key for key, row in world.conversations.items() if world.me in row.flags]
    one, other = rng.sample(reachable, 2)
    message = rng.choice([*world.messages_of(world.conversations[one])[:9], None])
    left_out = ("trash", "untrash", "junk", "unjunk") if sandbox.world.seed % 2 else ("merge",)
    verbs = {
        "mail": lambda: world.add_message(one, subject=f"mail {rng.random()}"),
        "new": lambda: world.add_conversation(messages=rng.randint(1, 12), subject=f"new {rng.random()}"),
        "edit": lambda: message and world.edit_message(message.id, subject=f"edited {rng.random()}"),
        "label": lambda: world.label(one, rng.choice([*world.labels])),
        "unlabel": lambda: world.unlabel(one, rng.choice([*world.labels])),
        "trash": lambda: world.trash(one),
        "untrash": lambda: world.untrash(one),
        "junk": lambda: world.junk(one),
        "unjunk": lambda: world.unjunk(one),
        "merge": lambda: world.merge(one, into=other),
        "draft": lambda: world.send_draft(world.add_draft(one)),
        "late": lambda: world.add_message(one, delivered_at=world.now() - rng.randrange(10**6)),
        "rename": lambda: world.rename_conversation(one, f"renamed {rng.random()}"),
    }
    verbs[rng.choice([name for name in (*verbs, "mail", "mail", "new", "edit", "label") if name not in left_out])]()
    world.add_comment(world.survivor(one))
