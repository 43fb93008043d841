"""JSON that is read and written fast is what the standard library makes of it."""

import json
from random import Random
from typing import Any

import pytest

from syncjob.core import codec

TEXTS = ("", "a", "é😀", "\u2028", "\x00", "\ud800", "\udfff\ud800", '"\\/', "</script>", "x" * 100)


def some(rng: Random, depth: int = 3) -> Any:
    kind = rng.randrange(9 if depth else 6)
    if kind < 6:
        return rng.choice((None, True, rng.choice(TEXTS), rng.randint(-(10**20), 10**20), rng.random() * 10 ** rng.randint(-30, 30), -0.0))
    if kind == 6:
        return [some(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): some(rng, depth - 1) for _ in range(rng.randrange(4))}


@pytest.mark.parametrize("seed", range(20))
def test_any_value_comes_back_whoever_wrote_or_reads_it(seed: int) -> None:
    rng = Random(seed)
    for value in (some(rng) for _ in range(200)):
        assert repr(codec.read(json.dumps(value))) == repr(codec.read(json.dumps(value).encode())) == repr(value), seed
        assert repr(json.loads(codec.written(value))) == repr(codec.read(codec.written(value))) == repr(value), seed


PLAIN = ('"\ud800"', b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b"[NaN, Infinity, -Infinity, 1e999]", b'{"a": 1, "a": 2}')


@pytest.mark.parametrize("text", PLAIN)
def test_what_the_standard_library_reads_is_read(text: str | bytes) -> None:
    assert repr(codec.read(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", [b"", b"<html>", b"{}x", b"[1,]", b'{"a": "\xff"}', b'{"a": "\x01"}', b"[" * 100_000, b"nul"])
def test_what_is_no_json_is_not(text: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        codec.read(text)
    with pytest.raises((ValueError, RecursionError)):
        json.loads(text)
