"""Readable text from mail bodies, whatever is in them.

inscriptis lays a body out as a browser does, but for what strangers send it needs fences: it is slow (2.5 s per MB of
`<br>`), libxml2 silently drops what lies deeper than 255 elements, a style can order 100,000 blank lines or columns, and
one wide table cell widens every row. So a body that is too large or too deep is only stripped of its tags, of all styles
only hiding and `pre` are obeyed, and tables are not padded. The stripper is a regular expression because html.parser
takes quadratic time (Python 3.11: 15 s for 40 kB of `<a <a <a`).
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_engine import Inscriptis
from inscriptis.html_properties import Display
from inscriptis.model.canvas.block import Block
from inscriptis.model.config import ParserConfig
from inscriptis.model.css import CssParse
from inscriptis.model.html_document_state import HtmlDocumentState
from inscriptis.model.html_element import HtmlElement
from inscriptis.model.tag import CustomHtmlTagHandlerMapping
from lxml.etree import HTMLParser, LxmlError, fromstring, iterwalk

from syncjob.core.text import clean

LAID_OUT = 300_000  # characters, laid out in 0.7 s at worst
DEEPEST = 200

TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]*(?:\s|/?>)|<!(?:--|doctype)", re.IGNORECASE)  # not <ann@example.com>, not a < b
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
ENDLESS_NUMBER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")  # Python refuses to read such a number
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|title|template)\b.*?(?:</\1\s*>|\Z)|<(/?[a-z][a-z0-9-]*)[^<>]*>|<![^<>]*>", re.IGNORECASE | re.DOTALL
)
BLOCKS = re.compile(r"/?(?:address|article|blockquote|br|center|d[dlt]|div|footer|form|h[1-6]|header|hr|li|[ou]l|p|pre|section|table|tr)")
CELLS = re.compile(r"/t[dh]")

SELF_LINK = re.compile(r"\[([^\[\]\s]+)\]\((?:mailto:|tel:|https?://)?\1/?\)")
EMPTY_LINK = re.compile(r"\[\s*\]\([^\s()]*\)")
BLANK_LINES = re.compile(r"\n\n\n+")  # found as a word is: twenty times faster than `\n{3,}`


def html_to_text(body: str) -> str:
    """A mail body to read and to search; what contains no tags keeps its lines. Never raises, and takes no time to speak of."""
    body = clean(body)
    if not TAG.search(body):
        return clean(ENTITY.sub(lambda entity: html.unescape(entity[0]), body))
    body = ENDLESS_NUMBER.sub("\ufffd", body)
    text = _laid_out(body)
    return _tidy(clean(_stripped(body) if text is None else text))


def _laid_out(body: str) -> str | None:
    """The body as a browser would show it; None when it is too large, too deep or too strange."""
    if len(body) > LAID_OUT:
        return None
    try:
        tree = fromstring(body.encode(), parser=HTMLParser(encoding="utf-8"))
        if body.count("<") > DEEPEST and _depth(tree) > DEEPEST:
            return None
        return str(Inscriptis(tree, _config()).get_text())
    except (LxmlError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # what its layout does not expect
        return None


def _depth(tree: object) -> int:
    depth = deepest = 0
    for event, _ in iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _stripped(body: str) -> str:
    """The body without its tags, in linear time."""
    return html.unescape(MARKUP.sub(_white_space, body))


def _white_space(markup: re.Match[str]) -> str:
    tag = (markup[2] or "").lower()
    return "\n" if BLOCKS.fullmatch(tag) else "  " if CELLS.fullmatch(tag) else ""


def _tidy(text: str) -> str:
    text = EMPTY_LINK.sub("", SELF_LINK.sub(r"\1", text))
    return BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip("\n")


class _Line(Block):  # type: ignore[misc]
    """A line of inscriptis that takes whole words; its own goes through a text letter by letter, in half of all the time."""

    collapsable_whitespace: bool

    def merge_normal_text(self, text: str) -> None:
        text = " ".join(f"|{text}|".split())[1:-1]
        if self.collapsable_whitespace:
            text = text.removeprefix(" ")
        if text:
            self.collapsable_whitespace = text.endswith(" ")
            text = html.unescape(text if self._content else self.prefix.first + text)
            self._content += text
            self.idx += len(text)

    def new_block(self) -> Block:
        self.prefix.consumed = False
        return _Line(self.idx + 1, self.prefix)


# How inscriptis is set. It calls these functions for an attribute or a tag.


def _begin(state: HtmlDocumentState, _: Mapping[str, str]) -> None:
    """The first line is one of ours, and those that follow are made by it."""
    line = state.canvas.current_block
    if not isinstance(line, _Line):
        state.canvas.current_block = _Line(line.idx, line.prefix)


def _style(style: str, element: HtmlElement) -> None:
    for name, _, value in (rule.partition(":") for rule in style.lower().split(";")):
        if name.strip() == "display" and value.strip().startswith("none"):
            element.display = Display.none
        elif name.strip() == "white-space":
            CssParse.attr_white_space(value.strip(), element)


def _hide(_: str, element: HtmlElement) -> None:
    element.display = Display.none


def _open_link(state: HtmlDocumentState, attributes: Mapping[str, str]) -> None:
    target = attributes.get("href", "").strip()
    state.link_target = target if target.startswith(("https:", "http:", "mailto:", "tel:")) else ""
    if state.link_target:
        state.tags[-1].write("[")


def _end_cell(state: HtmlDocumentState) -> None:
    """Keep neighbours in a row apart."""
    line = state.tags[-1].canvas.current_block
    if state.tags[-1].display != Display.none and not line.is_empty():
        line.merge_pre_text("  ")
        line.collapsable_whitespace = True


def _block(indent: int = 0) -> HtmlElement:
    return HtmlElement(display=Display.block, padding_inline=indent)


TABLE_TAGS: dict[str, Any] = dict.fromkeys(("table", "tr", "td", "th"))  # None: laid out like any other block
TAGS = CustomHtmlTagHandlerMapping({"html": _begin, "a": _open_link, **TABLE_TAGS}, {**TABLE_TAGS, "td": _end_cell, "th": _end_cell})
LAYOUT = (
    STRICT_CSS_PROFILE
    | {tag: _block() for tag in ("caption", "center", "dl", "dt", "form", "hr", "section", "table", "tr")}
    | {tag: _block(indent=2) for tag in ("blockquote", "dd")}
    | {tag: _block(indent=3) for tag in ("ol", "ul")}
    | {"template": HtmlElement(display=Display.none)}
)


def _config() -> ParserConfig:
    """A new one for every body, since inscriptis writes through the `body` element of its configuration."""
    config = ParserConfig(css=LAYOUT | {"body": HtmlElement()}, display_links=True, custom_html_tag_handler_mapping=TAGS)
    config.attribute_handler.attribute_mapping = {"style": _style, "hidden": _hide}
    return config
