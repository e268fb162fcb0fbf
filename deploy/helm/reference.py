"""Writes what the chart has from elsewhere: the schema of its values, their table, alerts and dashboards.

`make reference` runs it. The schema of the settings becomes a part of values.schema.json, so that helm
refuses a wrong setting before it is in the cluster. helm packs only what is in the chart, and warns
of links, so rules and dashboards are copies.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from monitor.schema import settings_schema

CHART: Final = Path(__file__).parent / "kms-monitor"
DEPLOY: Final = Path(__file__).parents[1]
BEGIN: Final = "<!-- values: made by make reference -->"
END: Final = "<!-- end of values -->"

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
SWITCH: Final[Schema] = {"type": "boolean"}
SECONDS: Final[Schema] = {"type": "integer", "minimum": 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 253}
OBJECTS: Final[Schema] = {"type": "array", "items": {"type": "object"}}
PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
QUANTITY: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$",
}
DURATION: Final[Schema] = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
ROLE: Final[Schema] = {"type": "string", "pattern": r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/\S+)?$"}


def listed(*required: str, **properties: Schema) -> Schema:
    """A list of objects with these properties and no others."""
    return {"type": "array", "items": closed(properties, *required)}


def closed(properties: dict[str, Schema], *required: str) -> Schema:
    shape: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return shape | ({"required": list(required)} if required else {})


SPECIAL: Final[dict[str, Schema]] = {
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "imagePullSecrets": listed("name", name=NAME),
    "replicas": {"type": "integer", "minimum": 0},
    "aws.roleArn": ROLE,
    "aws.region": {"type": "string", "pattern": r"^([a-z]{2}(-[a-z]+)+-\d)?$"},
    "persistence.size": QUANTITY,
    "persistence.accessModes": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
    },
    "secretMounts": listed(
        "secretName", "mountPath", secretName=NAME, mountPath=NAME, items=OBJECTS, optional=SWITCH
    ),
    "secretEnv": listed("name", "secretName", "key", name=NAME, secretName=NAME, key=NAME),
    "externalSecrets": listed(
        "name",
        "store",
        name=NAME,
        store=closed(
            {"name": NAME, "kind": {"enum": ["SecretStore", "ClusterSecretStore"]}}, "name"
        ),
        refreshInterval=DURATION,
        data=OBJECTS,
        dataFrom=OBJECTS,
    ),
    "port": {"type": "integer", "minimum": 1024, "maximum": 65535},
    "service.port": PORT,
    "terminationGracePeriodSeconds": SECONDS,
    "hostUsers": {"type": ["boolean", "null"]},
    "tmpSizeLimit": QUANTITY,
    "podDisruptionBudget.maxUnavailable": {
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
    },
    "revisionHistoryLimit": {"type": "integer", "minimum": 0},
    "serviceMonitor.interval": DURATION,
    "serviceMonitor.scrapeTimeout": DURATION,
    "podMonitor.interval": DURATION,
    "podMonitor.scrapeTimeout": DURATION,
    "keda.minReplicas": COUNT,
    "keda.maxReplicas": COUNT,
    "keda.queueLength": COUNT,
    "keda.pollingInterval": SECONDS,
    "keda.cooldownPeriod": SECONDS,
    "keda.fallbackReplicas": COUNT,
    "keda.roleArn": ROLE,
    "autoscaling.minReplicas": COUNT,
    "autoscaling.maxReplicas": COUNT,
    "autoscaling.targetCPU": {"type": "integer", "minimum": 1, "maximum": 1000},
}
"""What the default alone does not tell, by path."""

OF_KUBERNETES: Final = frozenset(
    {
        "affinity",
        "dnsConfig",
        "livenessProbe",
        "podSecurityContext",
        "readinessProbe",
        "resources",
        "securityContext",
        "startupProbe",
        "strategy",
    }
)
"""Objects of Kubernetes' own, which its API checks."""

OF_ANY_NAMES: Final = frozenset({"annotations", "labels", "commonLabels", "nodeSelector"})


def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return found


def described() -> dict[str, str]:
    """What values.yaml says about each value, by its path."""
    found: dict[str, str] = {}
    parents: list[str] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment = [text[4:].strip()] if text.startswith("# --") else [*comment, text[2:]]
            if text.startswith("# --") or len(comment) > 1:
                continue
        match = re.match(r"( *)([A-Za-z]+):", line)
        if match:
            depth = len(match[1]) // 2
            parents = [*parents[:depth], match[2]]
            if comment:
                found[".".join(parents)] = " ".join(comment)
        comment = []
    return found


def values_schema() -> Schema:
    """The whole values.schema.json."""
    settings = settings_schema()
    definitions = settings.pop("$defs")
    settings.pop("$schema")
    # What is required of the settings the templates say, for a ConfigMap of the user's may hold it.
    settings.pop("required")
    without_titles(settings)
    without_titles(definitions)
    root = of(values(), "", described())
    root["properties"]["settings"] = settings
    # helm hands the values of a parent chart down under this name.
    root["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart kms-monitor",
        **root,
        "$defs": definitions,
    }


def of(value: Any, path: str, texts: dict[str, str]) -> Schema:
    """The schema of one value, by its default and by what is known about it."""
    name = path.rpartition(".")[2]
    if path in SPECIAL:
        schema = dict(SPECIAL[path])
    elif isinstance(value, bool):
        schema = dict(SWITCH)
    elif isinstance(value, str):
        schema = dict(TEXT)
    elif isinstance(value, list):
        schema = dict(OBJECTS)
    elif name in OF_KUBERNETES:
        schema = {"type": ["object", "null"]}
    elif name in OF_ANY_NAMES or name.endswith(("Annotations", "Labels")):
        schema = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
    elif isinstance(value, dict):
        inner = f"{path}." if path else ""
        schema = closed({one: of(below, f"{inner}{one}", texts) for one, below in value.items()})
    else:
        raise TypeError(f"nothing is known about the value {path}")
    return schema | ({"description": texts[path]} if path in texts else {})


def without_titles(schema: Any) -> None:
    """pydantic's titles repeat the names; without them the schema is a fifth smaller."""
    if isinstance(schema, list):
        for one in schema:
            without_titles(one)
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for one in schema.values():
            without_titles(one)


def table() -> str:
    """The values as rows: name, default, and what values.yaml says."""
    texts = described()
    rows = ["| value | default | |", "|---|---|---|"]
    rows += [
        f"| `{path}` | `{json.dumps(default)}` | {texts.get(path, '').replace('|', chr(92) + '|')} |"
        for path, default in leaves(values(), texts)
    ]
    return "\n".join(rows)


def leaves(
    document: dict[str, Any], texts: dict[str, str], path: str = ""
) -> list[tuple[str, Any]]:
    """The values that a user may set one by one."""
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        whole = f"{path}{name}"
        if isinstance(value, dict) and value and whole not in texts:
            found += leaves(value, texts, f"{whole}.")
        else:
            found.append((whole, value))
    return found


def readme(old: str) -> str:
    """README.md with the table between its two marks made anew."""
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def schema_text() -> str:
    return json.dumps(values_schema(), indent=1, ensure_ascii=False) + "\n"


def copies() -> dict[str, str]:
    """Files of the chart, by their path in it, that are copies of others."""
    rules = sorted((DEPLOY / "prometheus").glob("*.rules.yaml"))
    dashboards = sorted((DEPLOY / "grafana").rglob("*.json"))
    places = {f"files/rules/{one.name}": one for one in rules} | {
        f"files/dashboards/{one.name}": one for one in dashboards
    }
    return {name: one.read_text(encoding="utf-8") for name, one in places.items()}


def copied() -> dict[str, str]:
    """The copies that are there, by their path in the chart."""
    found = [one for one in (CHART / "files").rglob("*") if one.is_file()]
    return {str(one.relative_to(CHART)): one.read_text(encoding="utf-8") for one in found}


def main() -> None:
    wanted = copies()
    for name in copied().keys() - wanted.keys():
        (CHART / name).unlink()
    for name, text in wanted.items():
        (CHART / name).parent.mkdir(parents=True, exist_ok=True)
        (CHART / name).write_text(text, encoding="utf-8")
    page = CHART / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")
    (CHART / "values.schema.json").write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
