"""The vendors' rate limits."""

from __future__ import annotations

import threading

from syncjob.sandbox import Limits, Request, Window

from .conftest import MakeCaller


def test_documented_limits_hold_in_every_window(call_with: MakeCaller) -> None:
    call = call_with(limits=Limits.documented())
    assert [call.missive("users").status for _ in range(301)].count(200) == 300
    for _ in range(2):
        call.clock.forward(60)
        assert [call.missive("users").status for _ in range(301)].count(200) == 300
    call.clock.forward(60)
    assert call.missive("users").headers["X-RateLimit-Limit"] == "900"
    call.clock.forward(900)
    assert call.missive("users").status == 200


def test_a_rejected_request_counts_at_teamwork_so_only_a_pause_helps(call_with: MakeCaller) -> None:
    call = call_with(limits=Limits(teamwork=(Window(2, 60),)))
    assert [call.teamwork("me.json").status for _ in range(3)] == [200, 200, 429]
    for _ in range(3):
        call.clock.forward(40)
        assert call.teamwork("me.json").status in (200, 429)
    call.clock.forward(61)
    answer = call.teamwork("me.json")
    assert (answer.status, answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == (200, "2", "1")


def test_windows_can_be_scaled_and_turned_off(call_with: MakeCaller) -> None:
    assert Limits.documented().scaled(60).missive[0] == Window(300, 1.0)
    call = call_with()
    assert {call.missive("users").status for _ in range(400)} == {200}
    assert not [name for name in call.teamwork("me.json").headers if "limit" in name.lower()]


def test_each_credential_has_its_own_limit(call_with: MakeCaller) -> None:
    call = call_with(limits=Limits(teamwork=(Window(1, 60),)))
    call.sandbox.world.teamwork.keys["other"] = 502
    assert [call.teamwork("me.json").status for _ in range(2)] == [200, 429]
    assert call.sandbox.respond(Request("GET", "/me.json", {}, {"Authorization": "Bearer other"})).status == 200


def test_a_sixth_request_at_a_time_is_refused(call_with: MakeCaller) -> None:
    call = call_with(limits=Limits(missive=(Window(300, 60),), missive_concurrent=5))
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(call.missive("users").status)) for _ in range(8)]
    with call.sandbox.world.lock:  # nothing is answered, so all of them are inside at once
        for thread in threads:
            thread.start()
        while len(statuses) < 3:
            pass
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [429] * 3


def test_settings_carry_the_limits(call_with: MakeCaller) -> None:
    settings = call_with(limits=Limits.documented()).sandbox.settings()
    assert (settings["TEAMWORK_RATE_LIMIT"], settings["MISSIVE_RATE_LIMIT"]) == ("150/60", "300/60 900/900")
    assert call_with().sandbox.settings()["MISSIVE_RATE_LIMIT"] == "1000000/1"
