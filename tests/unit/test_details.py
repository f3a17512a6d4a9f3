"""What Temporal Web is given to show: short, and whole whatever messages and ids hold."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st

from fanout.models import Totals
from fanout.observability import details
from fanout.pages import Source

TEXTS = st.text(max_size=400)


@given(TEXTS)
def test_no_text_breaks_out_of_its_code(text: str) -> None:
    shown = details.code(text)
    assert shown[0] == shown[-1] == "`"
    assert "`" not in shown[1:-1]
    assert len(shown.splitlines()) == 1
    assert len(shown) <= 162


def test_a_text_of_nothing_is_still_code() -> None:
    assert details.code(" \n ") == "`–`"


@given(TEXTS)
def test_a_summary_is_one_line_of_as_many_bytes_as_temporal_takes(text: str) -> None:
    shown = details.summary(text)
    assert len(shown.splitlines()) <= 1
    assert len(json.dumps(shown)) <= details.SUMMARY_BYTES
    assert shown.removesuffix("…") in " ".join(text.split())


@given(TEXTS.filter(bool), st.text(min_size=1))
def test_a_link_leads_to_the_workflow_whatever_its_id_holds(workflow_id: str, namespace: str) -> None:
    found = re.fullmatch(
        r"\[it\]\(namespaces/([^/()\s]+)/workflows/([^/()\s]+)\)", details.link("it", namespace, workflow_id)
    )
    assert found is not None
    assert (unquote(found[1]), unquote(found[2])) == (namespace, workflow_id)


@given(st.lists(st.text("x", max_size=500), max_size=60))
def test_a_list_is_short_and_says_how_much_it_leaves_out(lines: list[str]) -> None:
    shown = details.listed("Title", lines, len(lines)).splitlines()
    if not lines:
        assert not shown
        return
    assert shown[:2] == ["**Title**", ""]
    items = [line for line in shown[2:] if not line.startswith("- and ")]
    assert 1 <= len(items) <= details.MOST_LINES
    assert sum(len(line) - 2 for line in items[1:]) <= details.MOST_CHARACTERS
    left_out = len(lines) - len(items)
    assert (shown[-1] == f"- and {left_out:,} more") is bool(left_out)


def test_only_all_items_are_a_hundred_percent() -> None:
    assert details.done(999_999, 1_000_000) == "**999,999** of 1,000,000 items done (99 %)"
    assert details.done(1_000_000, 1_000_000).endswith("(100 %)")
    # More than were estimated.
    assert details.done(1_100, 1_000, exact=False) == "**1,100** of about 1,000 items done (100 %)"
    assert details.done(0, 0) == "No items"


def test_failures_of_many_types_and_long_messages_fit_into_an_address() -> None:
    totals = Totals(0, 10**9, {f"{'Error' * 30}{n}": 10**8 + n for n in range(Totals.MAX_ERROR_TYPES)})
    shown = details.outcomes(totals, ["é<$`" * 100] * 5)
    assert f"and {Totals.MAX_ERROR_TYPES - details.MOST_TYPES} more" in shown
    assert len(quote(shown)) < 6_000


def test_counters_are_shown_with_their_sums() -> None:
    shown = details.outcomes(Totals(2, 0, counters={"usd": 1234567.25, "tokens": 7.0}), [])
    assert shown == "**Counted**\n\n- `tokens`: 7\n- `usd`: 1,234,567.25"


def test_sources_are_named_in_a_few_words() -> None:
    many = ["file:///data/a%20b.csv", "s3://bucket/c.csv"]
    assert details.of_source(Source("csv", {"path": many}, skip=5)) == "csv a b.csv and 1 more after 5"
    assert (
        details.of_source(Source("jsonl", {"path": ["s3://b/x/*.jsonl"]}, limit=1000))
        == "jsonl *.jsonl, 1,000 at most"
    )
    assert details.of_source(Source("range", {"start": 0, "stop": 8000, "step": 1})) == "range 0 to 8,000"
    assert details.of_source(Source("items", {"values": [1]})) == "1 item"
    assert details.of_source(Source("mine", {})) == "mine"
