"""Mail bodies as readable text: what people send, and what nobody should."""

import threading
from time import process_time

import pytest

from syncjob.sources.text import DEEPEST, LAID_OUT, html_to_text

LARGE = 2_000_000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>Hi&nbsp;Ann,</p><p>see you</p>", "Hi Ann,\n\nsee you"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a <b>bold</b>ly <i>said</i> word", "a boldly said word"),
        ("<ul><li>one</li><li>two</li></ul>", " * one\n * two"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<p>yes</p><blockquote>so?<blockquote>what?</blockquote></blockquote>", "yes\n\n  so?\n    what?"),
        ("<table><tr><th>Name</th><th>Sum</th></tr><tr>\n<td>Ann</td>\n<td> 12 </td></tr></table>", "Name  Sum\nAnn  12"),
        ("<table><tr><td><table><tr><td><p>layout</p></td></tr></table></td></tr></table>", "layout"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ('<div style="white-space: pre-wrap">a\n  b</div>', "a\n  b"),
        ("<p>&#128512; caf&eacute; &lt;b&gt; \u05e9\u05dc\u05d5\u05dd</p>", "\U0001f600 caf\u00e9 <b> \u05e9\u05dc\u05d5\u05dd"),
        ("<p></p>", ""),
        ("<!-- only this -->", ""),
        ("", ""),
    ],
)
def test_a_body_reads_as_it_looks(body: str, text: str) -> None:
    assert html_to_text(body) == text


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ('<a href="https://x.test/?a=1&amp;b=2">the page</a>', "[the page](https://x.test/?a=1&b=2)"),
        ('<a href="https://x.test/">https://x.test</a>', "https://x.test"),
        ('<a href="http://x.test">x.test</a>', "x.test"),
        ('<a href="mailto:ann@x.test">ann@x.test</a>', "ann@x.test"),
        ('<a href="https://track.test/1"><img src="cid:1"></a>', ""),
        ('<a href="#top">top</a> <a href="javascript:alert(1)">click</a> <a name="x">here</a>', "top click here"),
    ],
)
def test_a_link_shows_its_address_once(link: str, text: str) -> None:
    assert html_to_text(f"<p>{link}</p>") == text


@pytest.mark.parametrize("padding", ["", "<p>x</p>" * (LAID_OUT // 8)], ids=["laid out", "stripped"])
def test_what_nobody_sees_is_dropped(padding: str) -> None:
    hidden = "<head><title>hid</title><style>hid</style></head><script>if (a<b) hid</script><!-- hid --><template>hid</template>"
    assert "hid" not in html_to_text(f"<html>{hidden}<p>shown</p>{padding}</html>")


def test_hidden_preview_lines_are_dropped() -> None:
    assert html_to_text('<div style="color:red; display : none !important">hid</div><p hidden>hid</p>shown') == "shown"


@pytest.mark.parametrize("text", ["", "two\n  lines\n", "a < b > c", "From: Ann <ann@x.test>", "see <https://x.test/?a=1&copy=2>", "x & y"])
def test_plain_text_passes_through(text: str) -> None:
    assert html_to_text(text) == text


def test_entities_without_a_tag_are_read() -> None:
    assert html_to_text("Tom &amp; Jerry &#8364;") == "Tom & Jerry \u20ac"


def test_a_thread_that_is_quoted_too_deeply_is_kept_to_its_end() -> None:
    deep = DEEPEST + 1
    assert html_to_text("<div>" * deep + "first" + "</div>" * deep + "<p>last</p>").split() == ["first", "last"]


def test_a_large_body_keeps_its_lines_and_its_entities() -> None:
    row = "<tr><td>a &amp; b</td><td>c</td></tr>"
    lines = [line for line in html_to_text(f"<table>{row * (LAID_OUT // len(row) + 1)}</table>").split("\n") if line]
    assert set(lines) == {"a & b  c"}


HOSTILE = (
    *("a<br>", "<div>", "<a ", "&ampaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),  # these also at 5 MB
    *("<p>Some <b>bold</b> words</p>", "<", "<!-- ", "<script>", "<script", "[", "\0", "\ud83d", "\ud83d\ude00"),
    *("&#9", "&#" + "9" * 9_999, " " * 1_000 + "<b>", "<li value='\u00b2'>x"),
    *("<table><tr><td>", "<p style='margin-top:99999em;padding-left:99999em'>x"),
)


@pytest.mark.parametrize(("piece", "size"), [(piece, LAID_OUT - 10) for piece in HOSTILE] + [(piece, LARGE) for piece in HOSTILE[:4]])
def test_no_body_takes_long_or_fails(piece: str, size: int) -> None:
    body = "<p>" + piece * (size // len(piece))
    began = process_time()
    text = html_to_text(body)
    assert process_time() - began < 5  # about 1 s at most on an idle machine; quadratic time would be minutes
    assert len(text) <= len(body)


def test_wide_cells_do_not_widen_other_rows() -> None:
    body = "<table><tr><td>" + "w" * 100_000 + "</td></tr>" + "<tr><td>x</td></tr>" * 5_000 + "</table>"
    assert len(html_to_text(body)) < 120_000


def test_bodies_read_at_the_same_time_do_not_mix() -> None:
    texts: dict[str, set[str]] = {"a": set(), "b": set()}

    def read(letter: str) -> None:
        for _ in range(100):
            texts[letter].update(html_to_text(f"<p>{letter}</p>{letter}<div>{letter}</div>" * 20).split())

    threads = [threading.Thread(target=read, args=(letter,)) for letter in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {"a": {"a"}, "b": {"b"}}


@pytest.mark.parametrize("text", ["a\0b", "a\ud83db", "a&#0;b", "a&#xd83d;b", "a&#55357;b", "a&#99999999999999999999;b"])
def test_what_no_database_stores_is_replaced(text: str) -> None:
    assert html_to_text(text) in ("a\ufffdb", "a&#99999999999999999999;b")
    assert html_to_text(f"<p>{text}</p>") == "a\ufffdb"


def test_a_true_surrogate_pair_is_one_character() -> None:
    assert html_to_text("<p>\ud83d\ude00</p>") == "\U0001f600"
