"""Dashboard and alerts ask only for what a real worker exposes: a real Prometheus scrapes one, and answers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from fanout.devserver import start_dev_server
from fanout.ports import free_port
from tests.acceptance.conftest import empty_project, wait_for
from tests.deploy.test_rules import alerts
from tests.deploy.tools import DEPLOY, TOOLS

DASHBOARD = DEPLOY / "grafana/dashboards/fanout.json"

JOBS = """
import asyncio
import fanout

@fanout.processor(retries=1)
async def nap(n: int) -> int:
    await asyncio.sleep(0.01)
    fanout.count("usd", 0.25)
    if n % 20 == 0:
        raise ValueError(f"{n} is round")
    return n"""


@dataclass
class Scraped:
    """A Prometheus that has scraped a worker while a run went on, and after its server was killed."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def series(self, query: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=query)["result"]
        return found


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """See `Scraped`."""
    folder = tmp_path_factory.mktemp("scraped")
    project = empty_project(folder)
    (folder / "jobs.py").write_text(JOBS)
    server = asyncio.run(start_dev_server(ui=False))
    project.environment["TEMPORAL_ADDRESS"] = server.address
    port, own = free_port(), free_port()
    config = {
        "global": {"scrape_interval": "500ms"},
        "scrape_configs": [
            {"job_name": "fanout", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("w") as log:
        prometheus = subprocess.Popen(
            [
                TOOLS / "prometheus",
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        worker = project.worker("--metrics-port", str(port))
        made = Scraped(f"127.0.0.1:{own}")
        for run, failed in (("first", 100), ("second", 200)):
            done = project.fanout(
                "run", "jobs:nap", "2000", "--id", run, "--max-concurrency", "50", "--retry-initial", "0.01"
            )
            assert done.returncode == 3, done.stderr
            # Before the next one begins, so that all is seen to grow.
            wait_for(lambda: made.series(f'fanout_items_total{{outcome="failed"}} == {failed}'))  # noqa: B023
        server.kill()
        wait_for(
            lambda: made.series("rate(temporal_long_request_failure[30s] offset 2s) > 0"),
            lambda: project.log(worker),
        )
    except AssertionError as error:
        error.add_note(f"the server {'is there' if server.running else 'has died'}:\n{server.log_tail(50)}")
        raise
    else:
        yield made
    finally:
        prometheus.terminate()
        prometheus.wait(20)
        asyncio.run(server.stop())
        project.close()


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def as_grafana_asks(query: str) -> str:
    """Return a query with the dashboard's variables filled in, for all queues and processors."""
    chosen = {"$__rate_interval": "1m", "$task_queue": ".*", "$processor": ".*"}
    for name, value in chosen.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:fanout|temporal)_\w+", query))


def test_the_dashboard_is_what_its_script_writes() -> None:
    path = DEPLOY / "grafana/dashboard.py"
    spec = importlib.util.spec_from_file_location("dashboard", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert json.loads(DASHBOARD.read_text()) == script.dashboard()


def test_each_query_of_the_dashboard_has_an_answer(scraped: Scraped) -> None:
    asked = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    assert len(asked) >= len(panels()) > 10
    # At some moment: windows are gone once a run has ended.
    unanswered = [
        (title, query)
        for title, query in asked
        if not scraped.series(f"last_over_time(({as_grafana_asks(query)})[2m:500ms])")
    ]
    assert unanswered == []


def test_the_variables_of_the_dashboard_find_queue_and_processor(scraped: Scraped) -> None:
    variables = {one["name"]: one for one in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    for name, value in (("task_queue", "fanout"), ("processor", "nap")):
        query = as_grafana_asks(variables[name]["query"]["query"])
        inner, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert {one["metric"][label] for one in scraped.series(inner)} == {value}


def test_alerts_go_by_metrics_and_labels_that_there_are(scraped: Scraped) -> None:
    exposed = set(scraped.ask("label/__name__/values"))
    for alert in alerts():
        expression = alert["expr"]
        assert metrics_in(expression)
        assert metrics_in(expression) <= exposed, alert["alert"]
        # Each selector with its labels, such as an operation or a bucket, has series.
        for selector in re.findall(r"\b(?:fanout|temporal)_\w+(?:\{[^}]*\})?", expression):
            assert scraped.series(selector), f"{alert['alert']}: {selector}"


def test_only_the_alert_for_a_lost_server_has_something_to_say(scraped: Scraped) -> None:
    firing = {alert["alert"] for alert in alerts() if scraped.series(alert["expr"])}
    # Half of what is too many fails in these runs.
    assert firing == {"FanoutServerAway"}
