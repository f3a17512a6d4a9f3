"""Makes facts as a run would leave them, and looks at pages as a browser would."""

from __future__ import annotations

from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

from fanout.models import FailureKind, FailureSample, RunEvent, Totals
from fanout.options import Options
from fanout.pages import Source
from fanout.reporting.facts import Facts
from fanout.storage.past import PastPartition
from fanout.storage.records import Effort, RunRecord, Slice

BEGAN = 1_796_000_000.0


def partition(
    number: int, begin: float, length: float, *, items: int = 100, failed: int = 0, ended: bool = True
) -> PastPartition:
    """Return a partition that worked from so many seconds after the begin on, for so long, in ten slices."""
    each = length / 10
    slices = [
        Slice(
            begin=BEGAN + begin + each * n,
            end=BEGAN + begin + each * (n + 1),
            succeeded=(items - failed) // 10,
            failed=failed // 10,
            busy=each * 8,
            offered=each * 10,
        )
        for n in range(10)
    ]
    totals = Totals(items - failed, failed, {"ValueError": failed} if failed else {}, 10)
    effort = Effort([[15, items - 1], [19, 1]], length * 8, length * 10, retries=2)
    return PastPartition(number, ended, totals, 0, effort, slices)


def facts(*partitions: PastPartition, text: str = "text", **changes: Any) -> Facts:
    """Return the facts of a run; `text` stands wherever users can put some."""
    record = RunRecord(
        nonce="n", run_id="urls", execution="0198-exec", processor=text, version=text,
        source=Source("csv", {"url": text, text: text}), params={text: [text]},
        options={**asdict(Options(max_concurrency=500)), "non_retryable": [text]}, previous=text,
    )  # fmt: skip
    known: dict[str, Any] = {
        "record": record,
        "status": "COMPLETED_WITH_FAILURES",
        "live": False,
        "began": BEGAN,
        "until": max([one.slices[-1].end for one in partitions if one.slices], default=BEGAN + 1),
        "items": sum(one.totals.done for one in partitions),
        "totals": sum(
            (one.totals for one in partitions), Totals(error_types={text: 1}, counters={"usd": 12.5})
        ),
        "not_run": 0,
        "effort": sum((one.effort for one in partitions), Effort(repeated=3)),
        "partitions": partitions,
        "kinds": [FailureKind(text, text, 3, BEGAN, BEGAN + 1, [FailureSample(0, text, text)])],
        "events": [RunEvent("1", "pause", BEGAN + 1, text, text, text, taken=True)],
        "output": "file:///data/out/urls/0198-exec",
        "web_url": "http://localhost:8233/namespaces/default/workflows/urls",
    }
    return Facts(**{**known, **changes})


class Page(HTMLParser):
    """What a browser makes of a page.

    Attributes:
        tags: Names of its elements.
        links: Values of attributes that name something to load or follow.
        attributes: Names of all attributes.
        text: All text, without style sheets.
        ids: Ids of elements.
        open: Elements that were not closed.
    """

    VOID = frozenset({"meta", "br", "path", "use", "rect"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.described: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "xlink:href", "action", "formaction", "data"):
                self.links.add(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name in ("aria-labelledby", "aria-describedby"):
                self.described.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        # Cells stand apart.
        self.text += " " if tag in ("td", "th", "dt", "dd") else ""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data
