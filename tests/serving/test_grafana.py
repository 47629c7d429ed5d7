"""The Grafana dashboard asks only for figures that /metrics gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import yaml

from serving.api import metrics
from tests.serving.pipelines import Made, Running

DASHBOARD = Path(__file__).resolve().parents[2] / "conf" / "grafana" / "wetstream.json"
ALERTS = DASHBOARD.parents[1] / "prometheus" / "alerts.yml"


def test_every_dashboard_figure_is_present(made: Made, serve: Callable[..., Running]) -> None:
    from sinks.observations import BatchMetrics, Observer

    made.add({"alpha": 1}, rejected=1)
    observer = Observer(made.client, made.pipeline)
    observer.committed(0, BatchMetrics(2, 1, 1, 1, 1, 1, 0.1, 0.1))
    observer.alive({"t/0": 9})
    observer.progress(0, rows=2, rows_per_s=1, lag=0, seconds={"addBatch": 1})
    server = serve()
    server.wait_for("/api/v1/words/bottom", lambda answer: True)
    given = set(re.findall(r"^(wetstream_\w+)", server.http.get("/metrics").text, re.M))
    wanted = set(re.findall(r"wetstream_\w+", " ".join(json.dumps(p["targets"]) for p in panels())))
    assert wanted and wanted <= given


def panels() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def test_alerts_ask_only_for_figures_that_there_are() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    source = (Path(metrics.__file__)).read_text()
    names = {name for rule in rules for name in re.findall(r"wetstream_(\w+)", rule["expr"])}
    assert rules and all(re.search(rf'"(?:wetstream_)?{name.removesuffix("_total")}"', source) for name in names)
    assert all(rule["annotations"]["description"] and rule["labels"]["severity"] for rule in rules)


def test_the_dashboard_can_show_one_pipeline() -> None:
    assert all("$pipeline" in str(target["expr"]) for p in panels() for target in p["targets"])
