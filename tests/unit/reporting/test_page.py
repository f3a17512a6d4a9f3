"""The page: complete without a network, whatever users write in it is text, and it stays small."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from fanout.models import RunEvent, RunResult, Status
from fanout.reduction import Reduction
from fanout.reporting.page import render
from tests.unit.reporting.facts import BEGAN, Page, facts, partition

HOSTILE = (
    """<script>alert(1)</script><img src=x onerror=alert(1)>" onmouseover="alert(1)' ]]>-->"""
    """</style></svg></script>$x_{&lt;{{7*7}}{% raw %}"""
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section"),
    *("h1", "h2", "p", "span", "code", "strong", "a", "br", "dl", "div", "dt", "dd", "figure", "figcaption"),
    *("details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "defs", "path", "use", "clippath", "rect", "text"),
}


@pytest.fixture(scope="module")
def hostile() -> str:
    return render(facts(partition(0, 0, 10, failed=10), text=HOSTILE, web_url="javascript:alert(1)"))


def test_what_users_write_is_text_wherever_it_stands(hostile: str) -> None:
    page = Page(hostile)
    assert page.tags == TAGS - {"a"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.open == []
    # Processor, version, source, parameter and its value, options, previous, error, sample, order.
    assert page.text.count("<script>alert(1)</script>") >= 12
    assert "{{7*7}}" in page.text
    assert "javascript:" not in hostile


def test_a_page_loads_nothing_and_its_only_link_is_that_to_temporal_web() -> None:
    html = render(facts(partition(0, 0, 10)))
    page = Page(html)
    assert page.tags == TAGS
    web = "http://localhost:8233/namespaces/default/workflows/urls"
    assert {link for link in page.links if not link.startswith("#")} == {web}
    assert "default-src 'none'" in html
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert set(re.findall(r"https?://[^\"'\s<]+", html)) == {
        web, "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip


def test_figures_have_the_colours_of_the_page_and_words_and_tables_beside_them() -> None:
    html = render(facts(partition(0, 0, 10, failed=10)))
    page = Page(html)
    assert html.count("<svg ") == 4
    assert "#0102" not in html, "a stand-in for a colour was left"
    drawings = "".join(re.findall(r"<svg .*?</svg>", html, re.DOTALL))
    assert not re.search(r"(fill|stroke): #", drawings), "a colour that is no colour of the page"
    assert page.described
    assert set(page.described) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id is there twice"
    for name in ("Throughput", "How long attempts took", "Window", "Partitions"):
        assert f"{name} in numbers" in page.text
    for words in (
        "their windows were 80% full",
        "Half of 100 attempts took up to 100 ms",
        "1 partition began; 1 ended",
    ):
        assert words in page.text


def test_what_a_reducer_has_made_is_text_and_cut_where_it_is_long() -> None:
    record = replace(facts().record, reduce=Reduction("top_k"))
    ended = RunResult(
        "urls", Status.SUCCEEDED, items=100, succeeded=100, failed=0, matched=3,
        reduced=[HOSTILE], reduced_url="file:///data/reduced.json",
    )  # fmt: skip
    page = Page(render(facts(partition(0, 0, 10), record=record, result=ended)))
    assert "What top_k has made" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "matches 3" in " ".join(page.text.split())
    long = render(facts(partition(0, 0, 10), record=record, result=replace(ended, reduced="x" * 100_000)))
    assert len(long) < 100_000
    assert "100,002 letters; whole in" in long


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(theme: int) -> None:
    html = render(facts(partition(0, 0, 10)))
    found = re.findall(r":root \{(.*?)\}", html, re.DOTALL)[theme]
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", found))
    for behind in ("page", "card"):
        for name in ("ink", "muted", "good", "bad", "warn", "soft", "link"):
            low, high = sorted((luminance(colors[name]), luminance(colors[behind])))
            # What the Web Content Accessibility Guidelines ask for.
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, behind)


def numbers(html: str) -> dict[str, str]:
    return dict(re.findall(r"<div><dt>([^<]+)</dt><dd[^>]*>([^<]+)</dd></div>", html))


def test_the_numbers_at_the_top_are_those_of_the_run() -> None:
    html = render(facts(partition(0, 0, 10, failed=10), partition(1, 5, 15)))
    assert numbers(html) == {
        "items": "200", "succeeded": "190", "failed": "10", "took": "20.0 s", "on average": "10/s",
        "tried again": "4", "run again after deaths": "3",
    }  # fmt: skip
    assert re.search(r"<code>usd</code></td><td>12\.50</td><td>0\.062</td>\s*<td>2,250</td>", html)


def test_of_a_run_that_goes_on_it_says_so_and_of_one_that_is_forgotten_too() -> None:
    live = render(
        facts(
            partition(0, 0, 10, ended=False), live=True, status="RUNNING", items=1000, in_flight=50, kinds=[]
        )
    )
    assert "This run goes on" in live
    assert numbers(live)["to go"] == "900"
    assert numbers(live)["in flight at most"] == "50"
    assert "No item has failed so far" in live
    gone = render(facts(partition(0, 0, 10), forgotten=True, status=None, web_url=None))
    assert "The server knows this run no more" in gone
    assert "nobody knows how" in " ".join(gone.split())


def test_a_run_without_any_commit_is_a_page_too() -> None:
    page = Page(render(facts(status="CANCELED", not_run=10, items=10, kinds=[], events=[])))
    assert "there is nothing to draw" in page.text
    assert "svg" not in page.tags


def test_options_that_are_not_the_default_stand_out_and_orders_say_what_they_did() -> None:
    events = [
        RunEvent("1", "pause", BEGAN + 1, "ann", "a break", "paused", taken=True),
        RunEvent("2", "pause", BEGAN + 2, "bob", "", "it is paused", refused=True, taken=True),
        RunEvent("3", "resume", BEGAN + 3, "ann", "", ""),
    ]
    html = render(facts(partition(0, 0, 10), events=events))
    assert re.search(r'<tr class="said"><th scope="row"><code>max_concurrency</code></th><td>500</td>', html)
    assert re.search(r'<tr><th scope="row"><code>batch_seconds</code></th><td>10.0</td>', html)
    assert "refused: it is paused" in html
    assert "not taken yet" in html
    drawn = re.search(r"<svg .*?</svg>", html, re.DOTALL)
    assert drawn is not None
    assert drawn[0].count(">pause</text>") == 1, "a mark for what changed something, and for nothing else"


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_partitions_are_a_page_of_moderate_size_in_moderate_time(count: int) -> None:
    some = [partition(n, n // 20 * 100.0, 150.0, items=50_000, failed=10 * (n % 3)) for n in range(count)]
    known: Any = facts(*some)
    began = time.process_time()
    html = render(known)
    assert time.process_time() - began < 10
    assert len(html) < 400_000
    assert "Each line is 7 neighbouring partitions" in html
