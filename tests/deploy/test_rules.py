"""Alert rules: what promtool says of them, and where they lead."""

from __future__ import annotations

from typing import Any

import yaml

from tests.deploy.tools import DEPLOY, ROOT, passes

RULES = DEPLOY / "prometheus/rules.yaml"
TESTS = DEPLOY / "prometheus/rules_test.yaml"


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_rules_are_valid() -> None:
    passes("promtool", "check", "rules", RULES)


def test_rules_fire_when_they_should_and_only_then() -> None:
    passes("promtool", "test", "rules", TESTS)
    tested = {
        one["alertname"]
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for one in test["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert tested == {alert["alert"] for alert in alerts()}


def test_each_alert_leads_to_a_runbook() -> None:
    for alert in alerts():
        page = alert["annotations"]["runbook_url"]
        assert page.startswith("docs/runbooks/")
        assert (ROOT / page).is_file(), f"{alert['alert']}: {page}"
