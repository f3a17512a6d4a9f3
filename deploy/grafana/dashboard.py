"""Writes dashboards/fanout.json: `python deploy/grafana/dashboard.py`. Change this, not the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards/fanout.json"

RUN = 'task_queue=~"$task_queue", processor=~"$processor"'
QUEUE = 'task_queue=~"($task_queue)(/control)?"'
WINDOW = "[$__rate_interval]"
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}

WIDTH, HEIGHT = 8, 8
ACROSS = 24

Query = tuple[str, str]
"""PromQL, and what a line of it is called."""


def rate(metric: str, by: str, where: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}{WINDOW}))"


def quantiles(metric: str, by: str, where: str, wanted: Sequence[float] = (0.5, 0.95)) -> list[Query]:
    """Return a histogram's quantiles."""
    of = rate(f"{metric}_bucket", f"{by}, le", where)
    return [(f"histogram_quantile({share:g}, {of})", f"{{{{{by}}}}} p{share * 100:g}") for share in wanted]


def panel(title: str, unit: str, about: str, queries: Sequence[Query], **defaults: Any) -> dict[str, Any]:
    """Return a panel of lines over time.

    Args:
        title: What it shows.
        unit: Grafana's name of the unit.
        about: What it means, shown when one points at the title.
        queries: One line or more each.
        **defaults: Of its fields.
    """
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, **defaults}, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend}
            for number, (expr, legend) in enumerate(queries)
        ],
    }


IN_FLIGHT = f"sum by (processor) (fanout_items_in_flight{{{RUN}}})"
PLACES = f"sum by (processor) (fanout_window_places{{{RUN}}})"
SLOTS = "sum by (task_queue) (temporal_worker_task_slots_{}{{" + QUEUE + ', worker_type="ActivityWorker"}})'

RUNS = [
    panel(
        "Items per second",
        "ops",
        "Items whose outcome was committed. A long batch counts when it commits.",
        [(rate("fanout_items_total", "processor, outcome", RUN), "{{processor}} {{outcome}}")],
    ),
    panel(
        "In flight, and allowed",
        "short",
        "Items that run now, and how many the windows of the running batches may have in flight.",
        [
            (IN_FLIGHT, "{{processor}} in flight"),
            (PLACES, "{{processor}} allowed"),
        ],
    ),
    panel(
        "How full windows are",
        "percentunit",
        "Half empty for long: too few items for their places, or batches that end with a few slow items.",
        [(f"{IN_FLIGHT} / ({PLACES} > 0)", "{{processor}}")],
        max=1,
    ),
    panel(
        "Share of items that fail",
        "percentunit",
        "For good, after all of their retries. `fanout failures RUN --by-type` says of what.",
        [
            (
                rate("fanout_items_total", "processor", f'{RUN}, outcome="failed"')
                + " / ("
                + rate("fanout_items_total", "processor", RUN)
                + " > 0)",
                "{{processor}}",
            )
        ],
    ),
    panel(
        "Attempts again",
        "ops",
        "Retries follow failed attempts. Re-executions are of items that a worker had begun when it died.",
        [
            (rate("fanout_item_retries_total", "processor", RUN), "{{processor}} retries"),
            (rate("fanout_item_reexecutions_total", "processor", RUN), "{{processor}} re-executions"),
        ],
    ),
    panel(
        "Counters",
        "short",
        "What processors have counted with fanout.count, in the last hour.",
        [
            (
                f"sum by (processor, counter) (increase(fanout_counter{{{RUN}}}[1h]))",
                "{{processor}} {{counter}}",
            )
        ],
    ),
    panel(
        "Duration of an attempt",
        "s",
        "Sampled: the mean of a slot's attempts, in the first slots of each batch.",
        quantiles("fanout_item_duration_seconds", "processor", RUN, (0.5, 0.95, 0.99)),
    ),
    panel(
        "Duration of a batch",
        "s",
        "From its begin on a worker to its commit.",
        quantiles("fanout_batch_duration_seconds", "processor", RUN),
    ),
    panel(
        "Latency of a commit",
        "s",
        "Time to write the last rows of a batch, and its commit: how fast the store is.",
        quantiles("fanout_commit_latency_seconds", "processor", RUN),
    ),
]

WORKERS = [
    panel(
        "Worker processes",
        "short",
        "Those that Prometheus reaches, and those that it knows but does not reach.",
        [
            ('sum(up{job="fanout"})', "up"),
            ('count(up{job="fanout"}) - sum(up{job="fanout"})', "down"),
        ],
    ),
    panel(
        "Slots for batches",
        "short",
        "Batches that run, and those that could run besides. None free, and batches that wait: more workers help.",
        [
            (SLOTS.format("used"), "{{task_queue}} used"),
            (SLOTS.format("available"), "{{task_queue}} free"),
        ],
    ),
    panel(
        "Batches wait for a worker",
        "s",
        "From the schedule of a batch to its begin.",
        quantiles("temporal_activity_schedule_to_start_latency", "task_queue", QUEUE),
    ),
    panel(
        "Workflows wait for a worker",
        "s",
        "From the schedule of a workflow task to its begin: more than a second slows down runs of small batches.",
        quantiles("temporal_workflow_task_schedule_to_start_latency", "task_queue", QUEUE),
    ),
    panel(
        "Requests to the server",
        "reqps",
        "By what they ask for.",
        [(rate("temporal_request", "operation", ""), "{{operation}}")],
    ),
    panel(
        "Latency of requests",
        "s",
        "Without the polls, which wait on purpose.",
        quantiles("temporal_request_latency", "operation", "", (0.95,)),
    ),
    panel(
        "Polls that fail",
        "ops",
        "The server is away, or refuses these workers.",
        [
            (
                rate("temporal_long_request_failure", "operation, status_code", ""),
                "{{operation}} {{status_code}}",
            )
        ],
    ),
    panel(
        "Pollers",
        "short",
        "Requests for work that wait at the server. None: no worker serves this queue.",
        [
            (
                f"sum by (task_queue, poller_type) (temporal_num_pollers{{{QUEUE}}})",
                "{{task_queue}} {{poller_type}}",
            )
        ],
    ),
    panel(
        "Workflows in the cache",
        "short",
        "One that fell out of it is replayed when it goes on.",
        [(f"sum by (task_queue) (temporal_sticky_cache_size{{{QUEUE}}})", "{{task_queue}}")],
    ),
]


def laid_out() -> Iterator[dict[str, Any]]:
    """Yield all panels, each where it stands, under the titles of their rows."""
    top, number = 0, 0
    for title, panels in (("Runs", RUNS), ("Workers and server", WORKERS)):
        number += 1
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        yield {"id": number, "gridPos": {"x": 0, "y": top, "w": ACROSS, "h": 1}, **row}
        top += 1
        for place, one in enumerate(panels):
            number += 1
            x, y = place * WIDTH % ACROSS, top + place * WIDTH // ACROSS * HEIGHT
            yield {"id": number, "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT}, **one}
        top += -(-len(panels) * WIDTH // ACROSS) * HEIGHT


def choice(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable whose values Prometheus knows."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana takes it."""
    return {
        "uid": "fanout",
        "title": "fanout",
        "tags": ["fanout", "temporal"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"},
                choice("task_queue", "Queue", "label_values(fanout_items_total, task_queue)"),
                choice(
                    "processor",
                    "Processor",
                    'label_values(fanout_items_total{task_queue=~"$task_queue"}, processor)',
                ),
            ]
        },
        "panels": list(laid_out()),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=2) + "\n")
