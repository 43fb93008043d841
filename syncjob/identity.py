"""Whose key it is, and so whose view the mirror holds."""

from collections.abc import Callable

from syncjob.core.errors import ConfigError
from syncjob.core.model import Answer, Call
from syncjob.core.ports import Source


def identify(source: Source, ask: Callable[[Call], Answer]) -> list[Answer]:
    """The answers that tell whose key it is."""
    answers: list[Answer] = []
    while call := source.identity_call(answers):
        answers.append(ask(call))
    return answers


def check_identity(identity: str, known: str | None) -> None:
    """A mirror belongs to one user's view. Raises ConfigError when the key is another's."""
    if known and known != identity:
        raise ConfigError(
            f"the key acts for {identity}, but the mirror was filled for {known}",
            hint="use another SYNCJOB_STATE_DIR for it, or run `python -m syncjob once --full-resync --new-identity`",
        )
