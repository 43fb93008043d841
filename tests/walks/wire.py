"""A bench whose sources go through the real HTTP client: its retries, limits and time-outs run, in no time at all."""

from collections.abc import Callable
from typing import Any

from syncjob.core.model import Answer, Call, WalkKind
from syncjob.http.limits import SHARES, Limiter, Window
from syncjob.sandbox import Sandbox
from syncjob.sources.api import Api, basic, bearer
from tests.wire import WireSession

from .bench import Bench, Clock

TRIES = 3
PLENTY = Window(10**6, 1)


class WiredBench(Bench):
    """A bench whose sources go through `Api`."""

    def _asker(self, face: str) -> Callable[[Call, WalkKind], Answer]:
        api = wired_api(face, self.sandbox, self.clock)

        def ask(call: Call, urgency: WalkKind) -> Answer:
            self.fuse.point()
            self.clock.at += self.tick
            return api.get(call, urgency)

        return ask


def wired_api(face: str, sandbox: Sandbox, clock: Clock) -> Api:
    """One face's API, without limits of its own."""
    url, auth = {
        "teamwork": (sandbox.teamwork_url, basic(sandbox.teamwork_key)),
        "missive": (sandbox.missive_url, bearer(sandbox.missive_token)),
    }[face]
    session: Any = WireSession(sandbox, clock)
    limiter = Limiter([PLENTY], SHARES, clock)
    key_setting = f"{face.upper()}_KEY"
    return Api(face, url, auth, limiter, clock, key_setting=key_setting, tries=TRIES, session=session, jitter=lambda: 1.0)
