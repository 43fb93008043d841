"""All mails of Missive with as few requests as can be: conversations by fifty, each one's messages, bodies by ten."""

from collections.abc import Iterator
from typing import Any


def mails(session: Any, url: str) -> Iterator[list[dict[str, Any]]]:
    """Whole messages, ten at a time; the session's `get` is that of requests."""
    waiting: list[str] = []
    for thread in _threads(session, url):
        waiting += [message["id"] for message in _get(session, f"{url}/conversations/{thread}/messages?limit=10")["messages"]]
        while len(waiting) >= 10:
            yield _get(session, f"{url}/messages/{','.join(waiting[:10])}")["messages"]
            del waiting[:10]
    if waiting:
        found = _get(session, f"{url}/messages/{','.join(waiting)}")["messages"]
        yield found if isinstance(found, list) else [found]


def _threads(session: Any, url: str) -> Iterator[str]:
    until, known = "", set[str]()
    while True:
        threads = _get(session, f"{url}/conversations?all=true&limit=50{until}")["conversations"]
        fresh = [thread for thread in threads if thread["id"] not in known]
        if not fresh:
            return
        known |= {thread["id"] for thread in fresh}
        yield from (thread["id"] for thread in fresh)
        until = f"&until={fresh[-1]['last_activity_at']}"


def _get(session: Any, url: str) -> Any:
    return session.get(url, timeout=60).json()
