"""`python -m syncjob sandbox`: the sandbox until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

from .limits import Limits
from .sandbox import Sandbox


def serve(
    port: int, seed: int, tasks: int, conversations: int, *, until: Callable[[], object], out: Callable[[str], object] = print
) -> None:
    """Start, say how to use it, and serve with the documented limits until `until` returns."""
    with Sandbox(seed, tasks, conversations, limits=Limits.documented()).start(port) as sandbox:
        for line in instructions(sandbox):
            out(line)
        until()
    out("sandbox stopped")


def instructions(sandbox: Sandbox) -> list[str]:
    """What to paste into a shell."""
    teamwork, missive = sandbox.world.teamwork, sandbox.world.missive
    return [
        f"Teamwork, Missive and Airtable at {sandbox.url}: {len(teamwork.tasks)} tasks, {len(missive.conversations)} conversations, "
        "an empty base. Ctrl-C stops.",
        "",
        *(f"export {name}='{value}'" for name, value in sandbox.settings().items()),
        "python -m syncjob once",
    ]
