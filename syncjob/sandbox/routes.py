"""Which function answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Routes(Generic[Answer]):
    """Path patterns such as `/v1/messages/{ids}`, tried in order; a `{name}` stands for one path segment."""

    def __init__(self, table: Iterable[tuple[str, Callable[..., Answer]]]) -> None:
        self._table = [(re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(pattern)) + r"\Z"), answer) for pattern, answer in table]

    def find(self, path: str) -> tuple[Callable[..., Answer], tuple[str, ...]] | None:
        """The function for a path and the segments that its pattern left open, or None."""
        for pattern, answer in self._table:
            if match := pattern.match(path):
                return answer, match.groups()
        return None
