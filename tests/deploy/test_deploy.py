"""Files of deploy/ name only settings and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from conf.settings import load_settings
from wetstream.commands.main import cli

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def test_settings_of_the_compose_file_are_settings() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service.get("image") == "wetstream"}
    assert set(ours) == {"producer", "stream", "serve"}
    for service in ours.values():
        environment = {
            name: re.sub(r"\$\{.*\}", "x" * 16, str(value)) for name, value in service["environment"].items()
        }
        settings = load_settings(environ=environment)
        assert settings.redis.url and settings.health.port == 8401
        assert service["command"][0] in cli.commands


def test_settings_of_the_kubernetes_manifests_are_settings(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "wetstream.yaml").read_text()))
    (config,) = [each for each in documents if each["kind"] == "ConfigMap"]
    file = tmp_path / "wetstream.toml"
    file.write_text(config["data"]["wetstream.toml"])
    settings = load_settings(file, environ={})
    (driver,) = [each for each in documents if each["metadata"]["name"] == "wetstream-driver"]
    ports = [port["port"] for port in driver["spec"]["ports"]]
    assert [int(settings.spark[f"spark.{name}.port"]) for name in ("driver", "blockManager")] == ports
    assert settings.spark["spark.driver.host"] == "wetstream-driver"
    containers = [
        container
        for each in documents
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    assert sorted(container["args"][0] for container in containers) == ["ingest", "serve", "stream"]


def test_units_start_commands_that_there_are_and_end_them_in_order() -> None:
    units = sorted((DEPLOY / "systemd").glob("*.service"))
    assert len(units) == 3
    for unit in units:
        text = unit.read_text()
        (command,) = re.findall(r"^ExecStart=/opt/wetstream/bin/wetstream (\w+)", text, re.M)
        assert command in cli.commands and "KillMode=mixed" in text
        for name in re.findall(r"WETSTREAM_\w+=\S*", "\n".join(re.findall(r"^Environment=(.*)", text, re.M))):
            load_settings(environ=dict([name.replace("%i", "main").split("=")]))
