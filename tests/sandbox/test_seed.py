"""The same seed makes the same world, and the world has everything in it that breaks careless clients."""

from __future__ import annotations

from collections import Counter

import pytest

from syncjob.sandbox import Truth, World

NOON = 1_767_700_000.0


def seeded(seed: int) -> World:
    return World.seeded(seed, tasks=600, conversations=300, clock=lambda: NOON)


@pytest.fixture(scope="module")
def world() -> World:
    return seeded(1)


def test_one_seed_makes_one_world(world: World) -> None:
    again = seeded(1)
    assert again.teamwork.tasks == world.teamwork.tasks
    assert again.missive.messages == world.missive.messages
    assert again.missive.conversations == world.missive.conversations
    assert Truth(again, "u").emails() == Truth(world, "u").emails()


def test_another_seed_makes_another_world(world: World) -> None:
    assert seeded(2).teamwork.tasks != world.teamwork.tasks


def test_a_verb_does_the_same_in_both_worlds() -> None:
    ones, others = seeded(3), seeded(3)
    assert ones.teamwork.add_task("new") == others.teamwork.add_task("new")
    assert ones.missive.add_conversation() == others.missive.add_conversation()


def test_updates_are_spread_over_months_with_a_few_ties_and_end_before_now(world: World) -> None:
    stamps = Counter(task.updated_at for task in world.teamwork.tasks.values())
    assert max(stamps) < NOON
    assert max(stamps) - min(stamps) > 200 * 86400
    assert 1 < sum(count for count in stamps.values() if count > 1) < 60


def test_teamwork_has_what_hides_tasks(world: World) -> None:
    teamwork = world.teamwork
    assert {row.status for row in teamwork.projects.values()} == {"active", "archived", "deleted"}
    assert {row.type for row in teamwork.projects.values()} == {"normal", "tentative"}
    assert any(row.template for row in teamwork.projects.values())
    assert any(teamwork.me not in row.members for row in teamwork.projects.values())
    assert {"completed", "deleted"} <= {row.status for row in teamwork.tasklists.values()}
    tasks = teamwork.tasks.values()
    assert any(task.deleted_at for task in tasks)
    assert any(task.parent_id for task in tasks)
    assert any(task.privacy == 1 for task in tasks)
    assert any("\x00" in (task.description or "") for task in tasks)


def test_missive_has_what_hides_conversations(world: World) -> None:
    missive = world.missive
    mine = [row.flags.get(missive.me) for row in missive.conversations.values()]
    assert any(flags and flags.trashed for flags in mine)
    assert any(flags and flags.junked for flags in mine)
    assert any(missive.me in row.guest_ids for row in missive.conversations.values())
    assert any(row.draft_ids for row in missive.conversations.values())
    assert any(label.parent_id for label in missive.labels.values())
    messages = missive.messages.values()
    assert {message.type for message in messages} == {"email", "sms"}
    assert any(message.redacted for message in messages)
    assert any(message.attachments for message in messages)
    assert any(
        message.author_id is None and message.from_field.address in {user.email for user in missive.users.values()} for message in messages
    )


def test_most_of_a_seeded_world_is_live(world: World) -> None:
    truth = Truth(world, "https://site.test")
    assert len(truth.tasks()) > 350
    assert len(truth.emails()) > 700
    assert truth.attachments()
