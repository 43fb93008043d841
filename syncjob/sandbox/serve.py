"""`python -m syncjob sandbox`: the sandbox until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .limits import Limits
from .sandbox import Sandbox


def serve(port: int = 0, seed: int = 1, tasks: int = 200, conversations: int = 100, out: Callable[[str], object] = print) -> None:
    """Start, say how to use it, and serve with the documented limits until interrupted."""
    with Sandbox(seed, tasks, conversations, limits=Limits.documented()).start(port) as sandbox:
        for line in instructions(sandbox):
            out(line)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            out("sandbox stopped")


def instructions(sandbox: Sandbox) -> list[str]:
    """What to paste into a shell."""
    teamwork, missive = sandbox.world.teamwork, sandbox.world.missive
    return [
        f"Teamwork and Missive at {sandbox.url}: {len(teamwork.tasks)} tasks, {len(missive.conversations)} conversations. Ctrl-C stops.",
        "",
        *(f"export {name}='{value}'" for name, value in sandbox.settings().items()),
        "python -m syncjob once",
    ]
