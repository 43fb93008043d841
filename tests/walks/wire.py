"""A bench whose sources go through the real HTTP client: its retries, limits and time-outs run, in no time at all."""

from collections.abc import Callable

from syncjob.core.model import Answer, Call, WalkKind
from syncjob.http.limits import SHARES, Limiter, Window
from tests.wire import WireSession, wired_api

from .bench import Bench

TRIES = 3
PLENTY = Window(10**6, 1)


class WiredBench(Bench):
    """A bench whose sources go through `Api`."""

    def _asker(self, face: str) -> Callable[[Call, WalkKind], Answer]:
        session, limiter = WireSession(self.sandbox, self.clock), Limiter([PLENTY], SHARES, self.clock)
        api = wired_api(face, self.sandbox, self.clock, session, limiter, tries=TRIES, jitter=lambda: 1.0)

        def ask(call: Call, urgency: WalkKind) -> Answer:
            self.fuse.point()
            self.clock.at += self.tick
            return api.get(call, urgency)

        return ask
