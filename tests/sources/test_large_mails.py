"""Large mails: asked for in fewer at a time, so that no answer holds many of them."""

import json

import pytest

from syncjob.core.errors import Transient
from syncjob.core.model import EMAILS, Answer, Want
from syncjob.sources.missive import BODIES, BODIES_BYTES, Missive

WANTS = [Want("body", EMAILS, f"m{number}", {"conversation": "c"}, walk=1) for number in range(20)]


class Nothing:
    """A mirror that knows nothing."""

    def rows(self, stream: str, keys: object) -> dict[str, object]:
        return {}

    def names(self, section: str, keys: object = None) -> dict[str, object]:
        return {}


def message(key: str, size: int) -> dict[str, object]:
    return {"id": key, "body": "x" * size, "delivered_at": 1, "conversation": {"id": "c", "web_url": "w"}}


def ask(source: Missive, wants: list[Want], size: int) -> tuple[int, list[Want]]:
    """Ask the next batch of a source whose mails are so large: how many went into it, and what has still to be asked."""
    (batch,) = source.batches(wants)
    call = source.want_call(batch, Nothing())  # type: ignore[arg-type]
    body = json.dumps({"messages": [message(want.key, size) for want in batch]}).encode()
    answer = Answer(413, b"") if call.most_bytes and len(body) > call.most_bytes else Answer(200, body)
    page = source._read_bodies(None, call, answer, Nothing())  # type: ignore[arg-type]
    settled = {key for _, key in page.settled}
    asked = {want.key: want for want in page.wants}
    return len(batch), [asked.get(want.key, want) for want in wants if want.key not in settled]


@pytest.mark.parametrize(
    ("size", "sizes"), [(1000, [10, 10]), (BODIES_BYTES // 3, [10, 5, 2, 2, 1, 2]), (BODIES_BYTES, [10, 5, 2, 1, 1, 1])]
)
def test_fewer_large_mails_are_asked_for_at_a_time(size: int, sizes: list[int]) -> None:
    source, wants, seen = Missive(), list(WANTS), []
    for _ in sizes:
        count, wants = ask(source, wants, size)
        seen.append(count)
    assert seen == sizes


def test_all_are_asked_and_small_ones_go_together_again() -> None:
    source, wants = Missive(), list(WANTS)
    while wants:
        _, wants = ask(source, wants, BODIES_BYTES)
    wants, largest = list(WANTS), 0
    while wants:
        count, wants = ask(source, wants, 1000)
        largest = max(count, largest)
    assert largest >= BODIES // 2


def test_a_message_that_its_own_answer_leaves_out_is_no_question_without_end() -> None:
    source = Missive()
    call = source.want_call(WANTS[:1], Nothing())  # type: ignore[arg-type]
    with pytest.raises(Transient):
        source._read_bodies(None, call, Answer(200, b'{"messages": []}'), Nothing())  # type: ignore[arg-type]
