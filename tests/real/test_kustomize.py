"""deploy/kubernetes, built by the real kustomize: by schema, by Pod Security, and beside the chart."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from monitor.assembly import load
from monitor.settings_file import read_settings
from tests.manifests import (
    VERSIONS,
    Manifest,
    against_restricted,
    check,
    only,
    parsed,
    pods,
    variables,
)
from tests.real.services import kustomize
from tests.real.test_chart import template

pytestmark = pytest.mark.real

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
NAMES = ["base", "replicas"]


@cache
def built(name: str) -> tuple[Manifest, ...]:
    done = subprocess.run(
        [*kustomize(), str(FOLDER / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(parsed(done.stdout))


def manifests(name: str) -> list[Manifest]:
    return list(built(name))


def pod_of(found: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = only(found, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_all_of_it(name: str, version: str) -> None:
    for one in manifests(name):
        check(one, version)


@pytest.mark.parametrize("name", NAMES)
def test_its_namespace_demands_restricted_pods_and_its_pods_are(name: str) -> None:
    labels = only(manifests(name), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    (pod,) = pods(manifests(name))
    assert against_restricted(pod) == []
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", NAMES)
def test_the_daemon_takes_its_settings(name: str, tmp_path: Path) -> None:
    found = manifests(name)
    file = tmp_path / "kms-monitor.yaml"
    file.write_text(only(found, "ConfigMap")["data"]["kms-monitor.yaml"], encoding="utf-8")
    settings = read_settings(file, variables(pod_of(found)["containers"][0]))
    load(settings, file)
    assert settings.web.host == "0.0.0.0"
    assert {"restore_key", "sns"} == set(settings.responders), "nobody would be told"
    assert settings.store.kind == {"base": "sqlite", "replicas": "dynamodb"}[name]


@pytest.mark.parametrize("name", NAMES)
def test_everything_finds_the_pods(name: str) -> None:
    found = manifests(name)
    deployment = only(found, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert only(found, "Service")["spec"]["selector"].items() <= labels
    assert only(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    policy = only(found, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels
    for spread in pod_of(found).get("topologySpreadConstraints", []):
        assert spread["labelSelector"]["matchLabels"].items() <= labels
    volumes = {one["name"]: one for one in pod_of(found)["volumes"]}
    assert volumes["settings"]["configMap"]["name"] == only(found, "ConfigMap")["metadata"]["name"]
    mounts = pod_of(found)["containers"][0]["volumeMounts"]
    assert volumes.keys() == {one["name"] for one in mounts}


@pytest.mark.parametrize(("name", "values"), [("base", "minimal"), ("replicas", "dynamodb")])
def test_its_pods_are_those_of_the_chart(name: str, values: str) -> None:
    """Two ways to the same pod: what is changed in one has to be changed in the other."""
    of_chart = pod_of(parsed(template(values, "--set", "image.tag=")))
    ours = pod_of(manifests(name))
    # What is each user's own.
    for pod in (of_chart, ours):
        for one in ("topologySpreadConstraints", "priorityClassName", "imagePullSecrets"):
            pod.pop(one, None)
        pod["volumes"][0]["configMap"]["name"] = "any"
    assert ours == of_chart
