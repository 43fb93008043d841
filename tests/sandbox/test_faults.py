"""Each kind of fault, in process."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from random import Random

import pytest

from syncjob.sandbox import ConnectionReset, Fault, Hang, Kind, Response

from .conftest import TUESDAY, Caller


def struck(call: Caller, fault: Fault, *, face: str = "missive") -> Response:
    """The answer to the next request, spoiled."""
    call.sandbox.faults.at(1, fault)
    return call.missive("users") if face == "missive" else call.teamwork("people.json")


@pytest.mark.parametrize("face", ["missive", "teamwork"])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind[:3].isdecimal()])
def test_a_status_fault_answers_with_its_status(call: Caller, kind: Kind, face: str) -> None:
    answer = struck(call, Fault(kind), face=face)
    assert answer.status == int(kind[:3])
    assert (answer.body == b"") is (kind.endswith("empty") or kind == Kind.LIMIT_HTTP_DATE)
    assert answer.headers["Date"]
    assert call.sandbox.counts[face, answer.status] == 1


def test_a_limit_says_how_long_to_wait_in_every_form(call: Caller) -> None:
    full = struck(call, Fault(Kind.LIMIT, retry_after=7))
    assert (full.headers["Retry-After"], full.json()["error"]["params"]["retry_after"]) == ("7", 7)
    body = struck(call, Fault(Kind.LIMIT_BODY_ONLY, retry_after=7))
    assert "Retry-After" not in body.headers
    assert body.json()["error"]["params"]["retry_after"] == 7
    dated = struck(call, Fault(Kind.LIMIT_HTTP_DATE, retry_after=7))
    assert parsedate_to_datetime(dated.headers["Retry-After"]).timestamp() == TUESDAY + 7
    assert struck(call, Fault(Kind.LIMIT_400)).headers["x-ratelimit-remaining"] == "0"


def test_answers_that_are_not_what_they_should_be(call: Caller) -> None:
    good = call.missive("users")
    cut = struck(call, Fault(Kind.TRUNCATED_JSON))
    assert (cut.status, cut.body) == (200, good.body[: len(cut.body)])
    assert 0 < len(cut.body) < len(good.body)
    page = struck(call, Fault(Kind.LOGIN_PAGE))
    assert (page.status, page.headers["Content-Type"][:9]) == (200, "text/html")
    assert struck(call, Fault(Kind.EMPTY_OBJECT)).json() == {}
    assert not isinstance(struck(call, Fault(Kind.WRONG_TYPE)).json()["users"], list)


def test_rows_or_pages_come_twice(call: Caller) -> None:
    first = call.missive("users", limit=2).json()["users"]
    call.sandbox.faults.at(1, Fault(Kind.PREVIOUS_PAGE))
    assert call.missive("users", limit=2, offset=2).json()["users"] == first
    assert call.missive("users", limit=2, offset=2).json()["users"] != first
    doubled = struck(call, Fault(Kind.DUPLICATE_ROWS)).json()["users"]
    assert len(doubled) > len({row["id"] for row in doubled})


def test_rows_are_missing_and_nothing_says_so(call: Caller) -> None:
    good = call.teamwork("tasks.json").json()["tasks"]
    call.sandbox.faults.at(1, Fault(Kind.ROWS_MISSING))
    assert call.teamwork("tasks.json").json()["tasks"] == [row for place, row in enumerate(good) if place % 3 != 2] != good
    assert struck(call, Fault(Kind.ROWS_MISSING)).json() == call.missive("users").json()


def test_the_date_is_off_or_missing(call: Caller) -> None:
    assert parsedate_to_datetime(call.missive("users").headers["Date"]).timestamp() == TUESDAY
    skewed = struck(call, Fault(Kind.DATE_SKEWED, hours=-30))
    assert parsedate_to_datetime(skewed.headers["Date"]).timestamp() == TUESDAY - 30 * 3600
    assert "Date" not in struck(call, Fault(Kind.DATE_MISSING)).headers


def test_slow_and_endless_answers_say_so_in_process(call: Caller) -> None:
    good = call.missive("users").body
    slow = struck(call, Fault(Kind.SLOW, delay=2.5))
    assert (slow.pace, slow.body) == (2.5, good)
    endless = struck(call, Fault(Kind.ENDLESS))
    assert len(endless.body) * endless.repeat == 2**31


def test_broken_connections_are_exceptions_in_process(call: Caller) -> None:
    good = call.missive("users")
    for kind, arrives, sent in (
        (Kind.ANSWER_LOST, None, 0),
        (Kind.RESET_BEFORE_BODY, good, 0),
        (Kind.RESET_WITHIN_BODY, good, len(good.body) // 2),
    ):
        with pytest.raises(ConnectionReset) as caught:
            struck(call, Fault(kind))
        assert (caught.value.response, caught.value.sent) == (arrives, sent)
    with pytest.raises(Hang):
        struck(call, Fault(Kind.HANG))
    assert call.sandbox.counts["missive", 0] == 4


def test_a_script_counts_only_matching_requests(call: Caller) -> None:
    call.sandbox.faults.at(2, Fault("500 json"), path=r"/users$", times=2)
    asked = ["users", "teams", "users", "teams", "users", "users"]
    assert [call.missive(path).status for path in asked] == [200, 200, 500, 200, 500, 200]


def test_a_route_may_be_broken_until_all_is_cleared(call: Caller) -> None:
    call.sandbox.faults.always("/v1/teams", Fault("404"))
    assert [call.missive(path).status for path in ("teams", "users", "teams")] == [404, 200, 404]
    call.sandbox.faults.clear()
    assert call.missive("teams").status == 200


def test_a_seeded_lot_strikes_the_same_requests_again(call: Caller) -> None:
    runs = []
    for _ in range(2):
        call.sandbox.faults.seeded(Random(3), 0.3, ["500 json", "429"], face="missive")
        runs.append([call.missive("users").status for _ in range(40)])
        call.sandbox.faults.clear()
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 429, 500}
    assert call.teamwork("me.json").status == 200


def test_a_misspelt_kind_or_switch_is_refused(call_with: object) -> None:
    with pytest.raises(ValueError, match="flood"):
        Fault("flood")
