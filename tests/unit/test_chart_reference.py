"""What the chart has from elsewhere is up to date, and its schema knows its values.

In scope: `deploy.helm.reference`. The chart itself is rendered by the real helm in `tests/real`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploy.helm import reference

VALUES = Path(__file__).parents[1] / "helm" / "values"
SCHEMA = Draft202012Validator(reference.values_schema())


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As helm merges values: null takes a default away."""
    result = dict(base)
    for name, value in over.items():
        if value is None and name in base:
            del result[name]
        elif isinstance(value, dict) and isinstance(base.get(name), dict):
            result[name] = merged(base[name], value)
        else:
            result[name] = value
    return result


def faults(over: str) -> list[str]:
    document = merged(reference.values(), yaml.safe_load(over) or {})
    return [one.message for one in SCHEMA.iter_errors(document)]


def test_the_schema_is_up_to_date() -> None:
    """If not: make reference."""
    found = (reference.CHART / "values.schema.json").read_text(encoding="utf-8")
    assert json.loads(found) == reference.values_schema()


def test_the_table_is_up_to_date() -> None:
    """If not: make reference."""
    page = (reference.CHART / "README.md").read_text(encoding="utf-8")
    assert page == reference.readme(page)


def test_the_rules_and_dashboards_are_up_to_date() -> None:
    """If not: make reference."""
    assert reference.copied() == reference.copies()
    assert any(name.startswith("files/rules/") for name in reference.copied())


def test_every_value_is_described() -> None:
    texts = reference.described()
    missing = [
        path for path, _ in reference.leaves(reference.values(), texts) if not texts.get(path)
    ]
    assert missing == []


@pytest.mark.parametrize("name", sorted(one.name for one in VALUES.glob("*.yaml")))
def test_the_schema_takes(name: str) -> None:
    assert faults((VALUES / name).read_text(encoding="utf-8")) == []


def test_the_schema_takes_the_defaults() -> None:
    assert faults("") == []


@pytest.mark.parametrize(
    "over",
    [
        "replicaCount: 2",
        "image: {repo: x}",
        "replicas: two",
        "image: {digest: 'sha256:abc'}",
        "aws: {roleArn: kms-monitor}",
        "keda: {minReplicas: 0}",
        "autoscaling: {minReplicas: 0}",
        "port: 80",
        "settings: {mode: enfroce}",
        "settings: {queues: [{url: x, region: eu-west-1, polers: 3}]}",
        "settings: {accounts: [{id: 111122223333, regions: [eu-west-1]}]}",
        "settings: {detectors: {key_disabled: true}}",
        "settings: {responders: {sns: {}}}",
        "podLabels: {a: 1}",
        "secretMounts: [{secretName: a}]",
        "persistence: {size: 1 GB}",
        "serviceMonitor: {interval: 15}",
    ],
)
def test_the_schema_refuses(over: str) -> None:
    assert len(faults(over)) == 1
