"""Every way in which a record goes, and its way back, with every switch of the vendors' unknowns: who sees it, a cycle or a sweep?

    python -m tests.walks.paths [SWITCH]
"""

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from syncjob.core.model import EMAILS, TASKS
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Switches

from .bench import POLL, Bench, new_folder

NEVER, CYCLE, SWEEP, NO_WAY = "never", "cycle", "sweep", "-"


@dataclass(frozen=True, slots=True)
class Path:
    """One record, or a few that hang together: how they go, and how they come back; None: there is no way back."""

    keys: frozenset[str]
    go: Callable[[], object]
    back: Callable[[], object] | None = None


def teamwork_paths(bench: Bench) -> dict[str, Path]:
    world = bench.sandbox.world.teamwork
    home = next(row for row in world.projects.values() if row.status == "active" and world.me in row.members and not row.template)
    tasklist = world.add_tasklist("home", home.id)

    def place(name: str) -> tuple[int, int, frozenset[str]]:
        """A project of its own with one list and two tasks."""
        project = world.add_project(name, members=home.members)
        own = world.add_tasklist(name, project)
        return project, own, frozenset(str(world.add_task(f"{name} {number}", own)) for number in range(2))

    task, purged = world.add_task("task", tasklist), world.add_task("purged", tasklist)
    parent = world.add_task("parent", tasklist)
    child = world.add_task("child", tasklist, parent_id=parent)
    moved = world.add_task("moved", tasklist)
    hidden = next(row.id for row in world.tasklists.values() if world.me not in world.projects[row.project_id].members)
    _, lost_list, in_list = place("list")
    lost_project, _, in_project = place("project")
    revoked, _, in_revoked = place("revoked")

    def purge() -> None:
        world.delete_task(purged)
        world.purge_task(purged)

    return {
        "task deleted": Path(frozenset({str(task)}), lambda: world.delete_task(task), lambda: world.restore_task(task)),
        "task purged": Path(frozenset({str(purged)}), purge),
        "parent deleted": Path(frozenset({str(parent), str(child)}), lambda: world.delete_task(parent), lambda: world.restore_task(parent)),
        "moved out of sight": Path(
            frozenset({str(moved)}), lambda: world.move_task(moved, hidden), lambda: world.move_task(moved, tasklist)
        ),
        "list deleted": Path(in_list, lambda: world.delete_tasklist(lost_list), lambda: world.restore_tasklist(lost_list)),
        "project deleted": Path(in_project, lambda: world.delete_project(lost_project), lambda: world.restore_project(lost_project)),
        "project access lost": Path(in_revoked, lambda: world.revoke_access(revoked), lambda: world.grant_access(revoked)),
    }


def missive_paths(bench: Bench) -> dict[str, Path]:
    world = bench.sandbox.world.missive

    def thread(messages: int = 2) -> tuple[str, frozenset[str]]:
        key = world.add_conversation(messages=messages)
        return key, frozenset(message.id for message in world.messages_of(world.conversations[key]))

    made = {name: thread() for name in ("trash", "junk", "deleted", "revoked", "guest")}
    (trash, in_trash), (junk, in_junk), (deleted, in_deleted), (revoked, in_revoked), (guest, in_guest) = made.values()
    _, in_longer = thread(3)
    message = min(in_longer)
    return {
        "conversation trashed": Path(in_trash, lambda: world.trash(trash), lambda: world.untrash(trash)),
        "conversation junked": Path(in_junk, lambda: world.junk(junk), lambda: world.unjunk(junk)),
        "conversation deleted": Path(in_deleted, lambda: world.delete_conversation(deleted)),
        "conversation access lost": Path(in_revoked, lambda: world.revoke_access(revoked), lambda: world.grant_access(revoked)),
        "guest only": Path(in_guest, lambda: world.revoke_access(guest, guest=True), lambda: world.grant_access(guest)),
        "message deleted": Path(frozenset({message}), lambda: world.delete_message(message)),
    }


def seen_by(switches: Switches, face: str) -> Mapping[str, tuple[str, str]]:
    """Per path: who saw it go, and who saw it come back. Raises AssertionError when anything else is not as it should be."""
    with new_folder() as folder:
        bench = Bench(folder, seed=3, tasks=12, conversations=6, switches=switches)
        paths = (teamwork_paths if face == "teamwork" else missive_paths)(bench)
        bench.clock.at += 120
        bench.run(face)
        every = frozenset().union(*(path.keys for path in paths.values()))
        assert every <= live(bench), "not all of it was read"
        gone = _watch(bench, face, {name: path.go for name, path in paths.items()}, paths, live=False)
        ways_back = {name: path.back for name, path in paths.items() if path.back}
        back = _watch(bench, face, ways_back, paths, live=True)
        stayed = {name for name, path in paths.items() if not path.back}
        assert not any(paths[name].keys & live(bench) for name in stayed if gone[name] != NEVER), "back from nowhere"
        if NEVER not in (*gone.values(), *back.values()):
            assert bench.differences_of(*(("task",) if face == "teamwork" else ("email", "attachment"))) == []
        bench.close()
        return {name: (gone[name], back.get(name, NO_WAY)) for name in paths}


def live(bench: Bench) -> frozenset[str]:
    return frozenset(bench.held(TASKS)) | frozenset(bench.held(EMAILS))


def _watch(
    bench: Bench, face: str, changes: Mapping[str, Callable[[], object]], paths: Mapping[str, Path], *, live: bool
) -> dict[str, str]:  # fmt: skip
    for change in changes.values():
        change()
    bench.clock.at += 120
    bench.settle(face)
    by_cycle = _arrived(bench, changes, paths, live=live)
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle(face)
    bench.rhythm = Rhythm(POLL)
    bench.reopen()
    by_sweep = _arrived(bench, changes, paths, live=live)
    return {name: CYCLE if name in by_cycle else SWEEP if name in by_sweep else NEVER for name in changes}


def _arrived(bench: Bench, names: Collection[str], paths: Mapping[str, Path], *, live: bool) -> set[str]:
    there = globals()["live"](bench)
    return {name for name in names if (paths[name].keys <= there if live else not paths[name].keys & there)}


def main() -> None:
    asked = sys.argv[1:]
    variations = [("(defaults)", "", Switches()), *Switches.variations()]
    for face in ("teamwork", "missive"):
        for name, position, switches in variations:
            if (name.startswith(face) or name == "(defaults)") and (not asked or name in asked):
                seen = seen_by(switches, face)
                print(f"{name}={position}: " + ", ".join(f"{path}: {gone}/{back}" for path, (gone, back) in seen.items()), flush=True)


if __name__ == "__main__":
    main()
