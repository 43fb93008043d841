"""Real HTTP in virtual time: the sandbox's server answers while the client waits, and no second passes that nobody counts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import requests

from syncjob.core.ports import Clock
from syncjob.http.wire import open_session
from syncjob.sandbox import ConnectionReset, Hang, Request, Response, Sandbox

DEADLINE = 300.0
SILENCE = 2.0
"""How long the client really listens to a server that says nothing."""


class Net(Sandbox):
    """A sandbox whose slow answers come at once, and tell how long they took."""

    took = 0.0
    broke: Exception | None = None

    def respond(self, request: Request) -> Response:
        """The answer. What breaks here is no fault of the net: the client hears of it, since a server's thread dies quietly."""
        try:
            response = super().respond(request)
        except (ConnectionReset, Hang):
            raise
        except Exception as error:
            self.broke = error
            raise
        self.took = response.pace * len(response.body)
        return replace(response, pace=0.0)


def net_session(net: Net, clock: Clock, on_request: Callable[[], None]) -> requests.Session:
    """The product's own session. `on_request` is called before each request leaves."""
    session = open_session(clock, DEADLINE)
    send = session.send

    def sent(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        on_request()
        net.took = 0.0
        try:
            answer = send(request, **{**options, "timeout": SILENCE})
        except requests.ReadTimeout:
            clock.wait(options["timeout"][1])
            raise
        finally:
            if net.broke:
                raise net.broke
        clock.wait(min(net.took, DEADLINE + 1))
        return answer

    session.send = sent  # type: ignore[method-assign]
    return session
