"""The chart, rendered by the real helm for every set of values in tests/helm/values.

What is rendered is checked by Kubernetes' schemas of several versions and by those of the custom
resources, by Pod Security, and by the daemon itself, which has to take its settings.
"""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm import reference
from monitor.assembly import load
from monitor.settings import Settings
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
from tests.real.services import require

pytestmark = pytest.mark.real

SETS = sorted((Path(__file__).parents[1] / "helm" / "values").glob("*.yaml"))
NAMES = [one.stem for one in SETS]
OF_USERS = {"own", "everything"}
"""Sets with containers or a ConfigMap that the chart does not make."""


@pytest.fixture(autouse=True)
def helm() -> str:
    return require("helm")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require("helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def values_of(name: str) -> Path:
    return next(one for one in SETS if one.stem == name)


def template(name: str, *flags: str, chart: Path = reference.CHART) -> str:
    """What the chart renders to for a set of values."""
    done = run(
        *("template", "kms-monitor", chart, "--namespace", "guards", "--kube-version", "1.31"),
        *("--values", str(values_of(name)), *flags),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@cache
def rendered(name: str, *flags: str) -> tuple[Manifest, ...]:
    return tuple(parsed(template(name, *flags)))


def manifests(name: str, *flags: str) -> list[Manifest]:
    return list(rendered(name, *flags))


def container_of(found: list[Manifest]) -> dict[str, Any]:
    first: dict[str, Any] = only(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return first


def settings_in(found: list[Manifest], folder: Path) -> Settings:
    """The settings as the daemon in the container has them: its file, and the variables over it."""
    file = folder / "kms-monitor.yaml"
    file.write_text(only_settings(found), encoding="utf-8")
    settings = read_settings(file, variables(container_of(found)))
    load(settings, file)
    return settings


def only_settings(found: list[Manifest]) -> str:
    (text,) = [
        one["data"]["kms-monitor.yaml"]
        for one in found
        if one["kind"] == "ConfigMap" and "kms-monitor.yaml" in one["data"]
    ]
    return str(text)


@pytest.mark.parametrize("name", NAMES)
def test_helm_finds_no_fault(name: str) -> None:
    done = run(
        *("lint", "--strict", "--quiet", "--kube-version", "1.31", reference.CHART),
        *("--values", values_of(name)),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_all_of_it(name: str, version: str) -> None:
    for one in manifests(name):
        check(one, version)


def test_the_check_by_schema_can_fail() -> None:
    """Unknown parts are dropped by an API server, and looked for here."""
    kinds = {
        "ServiceMonitor": "sqlite",
        "ScaledObject": "keda",
        "Service": "keda",
        "ExternalSecret": "secrets",
    }
    for kind, name in kinds.items():
        whole = next(one for one in manifests(name) if one["kind"] == kind)
        broken = json.loads(json.dumps(whole))
        broken["spec"]["nonsense"] = 1
        with pytest.raises(Exception, match=r"nonsense|unknown"):
            check(broken, "1.31")


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"own"}))
def test_the_daemon_takes_its_settings(name: str, tmp_path: Path) -> None:
    settings = settings_in(manifests(name), tmp_path)
    values = yaml.safe_load(values_of(name).read_text(encoding="utf-8"))
    assert settings.mode.value == values["settings"]["mode"]
    assert settings.web.host == values.get("listen", "0.0.0.0")
    ports = container_of(manifests(name))["ports"]
    assert [settings.web.port] == [one["containerPort"] for one in ports]
    if settings.store.kind == "sqlite":
        assert str(settings.store.path) == "/var/lib/kms-monitor/state.db"


def test_check_finds_the_settings_good(tmp_path: Path) -> None:
    file = tmp_path / "kms-monitor.yaml"
    file.write_text(only_settings(manifests("minimal")), encoding="utf-8")
    program = require("kms-monitor")
    done = subprocess.run(
        [program, "check", "--config", file, "--offline"],
        env=variables(container_of(manifests("minimal"))),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_restricted(name: str) -> None:
    found = list(pods(manifests(name)))
    assert len(found) == 2  # the daemon, and what `helm test` runs
    for pod in found:
        ours = {**pod, "containers": pod["containers"][:1], "initContainers": []}
        assert against_restricted(ours) == []
        assert ours["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["enableServiceLinks"] is False
        if name != "secrets":  # the log-in at Vault needs it
            assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", NAMES)
def test_everything_finds_the_pods(name: str) -> None:
    """A selector, or the name of a port, that matches nothing is a fault that nobody reports."""
    found = manifests(name)
    deployment = only(found, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    ports = {one["name"] for one in container_of(found)["ports"]}
    service = only(found, "Service")
    for one in found:
        spec = one.get("spec", {})
        match one["kind"]:
            case "Deployment" | "PodDisruptionBudget" | "PodMonitor":
                assert spec["selector"]["matchLabels"].items() <= labels
            case "Service":
                assert spec["selector"].items() <= labels
                assert {port["targetPort"] for port in spec["ports"]} <= ports
            case "NetworkPolicy":
                assert spec["podSelector"]["matchLabels"].items() <= labels
                assert {port["port"] for port in spec["ingress"][0]["ports"]} <= ports
            case "ServiceMonitor":
                wanted = spec["selector"]["matchLabels"].items()
                assert wanted <= service["metadata"]["labels"].items()
                assert {end["port"] for end in spec["endpoints"]} <= {
                    port["name"] for port in service["spec"]["ports"]
                }
            case "ScaledObject" | "HorizontalPodAutoscaler":
                assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
                assert "replicas" not in deployment["spec"]
            case _:
                pass
    mounted = {one["name"] for one in container_of(found)["volumeMounts"]}
    assert mounted == {one["name"] for one in deployment["spec"]["template"]["spec"]["volumes"]}
    assert all(one["metadata"].get("namespace", "guards") == "guards" for one in found)


def test_probes_ask_what_the_daemon_answers() -> None:
    container = container_of(manifests("minimal"))
    paths = {
        name: container[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


def test_names_with_nothing_behind_them_stay(tmp_path: Path) -> None:
    """helm takes what is null away where the chart has a default of that name."""
    settings = settings_in(manifests("sqlite"), tmp_path)
    assert settings.responders.keys() == {"restore_key", "sns"}
    assert settings.detectors == {"key_disabled": {}, "key_description_changed": False}


def test_one_pod_with_sqlite() -> None:
    found = manifests("sqlite")
    deployment, claim = only(found, "Deployment"), only(found, "PersistentVolumeClaim")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert {"name": "state", "persistentVolumeClaim": {"claimName": "kms-monitor"}} in volumes
    assert claim["spec"]["storageClassName"] == "gp3"
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    account = only(found, "ServiceAccount")["metadata"]
    assert account["annotations"]["eks.amazonaws.com/role-arn"].endswith(":role/kms-monitor")
    assert container_of(found)["image"].partition("@")[2].startswith("sha256:")


def test_several_pods_with_dynamodb() -> None:
    found = manifests("dynamodb")
    spec = only(found, "Deployment")["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "KMS_MONITOR_STORE__PATH" not in variables(container_of(found))
    assert not any(one["kind"] == "PersistentVolumeClaim" for one in found)
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    assert spread["labelSelector"] == spec["selector"]
    policy = only(found, "NetworkPolicy")["spec"]
    of_test = only(found, "Pod")["metadata"]["labels"].items()
    monitoring, test = policy["ingress"][0]["from"]
    assert "namespaceSelector" in monitoring
    assert test["podSelector"]["matchLabels"].items() <= of_test
    assert not spec["selector"]["matchLabels"].items() <= of_test
    assert {"ipBlock": {"cidr": "10.20.0.0/16"}} in policy["egress"][1]["to"]


def test_pods_are_spread_by_default() -> None:
    pod = only(manifests("minimal"), "Deployment")["spec"]["template"]["spec"]
    assert [one["topologyKey"] for one in pod["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


def test_keda_looks_at_every_queue_and_never_sends_all_away() -> None:
    spec = only(manifests("keda"), "ScaledObject")["spec"]
    assert spec["minReplicaCount"] >= 1
    assert [one["metadata"]["awsRegion"] for one in spec["triggers"]] == ["eu-west-1", "us-east-1"]
    authentication = only(manifests("keda"), "TriggerAuthentication")
    names = {one["authenticationRef"]["name"] for one in spec["triggers"]}
    assert names == {authentication["metadata"]["name"]}


def test_the_alerts_and_dashboards_come_along() -> None:
    found = manifests("sqlite")
    groups = only(found, "PrometheusRule")["spec"]["groups"]

    def as_addressed(file: Path) -> str:
        text = file.read_text(encoding="utf-8")
        placeholder = "https://kms-monitor.example.org/runbooks/"
        assert placeholder in text
        return text.replace(placeholder, "https://wiki.example.org/kms/")

    theirs = [
        group
        for file in sorted((reference.DEPLOY / "prometheus").glob("*.rules.yaml"))
        for group in yaml.safe_load(as_addressed(file))["groups"]
    ]
    assert groups[:-1] == theirs
    assert groups[-1]["name"] == "ours"
    dashboards: dict[str, str] = {}
    assert list((reference.DEPLOY / "grafana").rglob("*.json"))
    for one in found:
        if one["metadata"]["labels"].get("grafana_dashboard") == "1":
            assert one["metadata"]["annotations"] == {"grafana_folder": "KMS"}
            dashboards |= one["data"]
    assert {name: json.loads(text) for name, text in dashboards.items()} == {
        f"kms-monitor-{file.name}": json.loads(as_addressed(file))
        for file in (reference.DEPLOY / "grafana").rglob("*.json")
    }


def test_a_change_of_the_settings_restarts_the_pods_unless_that_is_not_wanted() -> None:
    def sum_of(*flags: str) -> str | None:
        template = only(manifests("minimal", *flags), "Deployment")["spec"]["template"]
        found: str | None = template["metadata"]["annotations"].get("checksum/settings")
        return found

    assert sum_of() == sum_of("--set", "replicas=1")
    assert sum_of() != sum_of("--set", "settings.mode=enforce")
    assert sum_of("--set", "rolloutOnChange=false") is None
    # Live: the whole folder is mounted, for a file mounted by subPath never changes.
    (mount,) = [
        one
        for one in container_of(manifests("minimal"))["volumeMounts"]
        if one["name"] == "settings"
    ]
    assert mount == {"name": "settings", "mountPath": "/etc/kms-monitor", "readOnly": True}


def test_secrets_are_files_that_others_may_not_read() -> None:
    found = manifests("secrets")
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    of_secrets = [one["secret"] for one in pod["volumes"] if "secret" in one]
    assert {one["secretName"] for one in of_secrets} == {"kms-monitor-mqtt", "kms-material"}
    # Owner and fsGroup, as `monitor.escrows.file` and the MQTT responder want it.
    assert all(one["defaultMode"] == 0o440 for one in of_secrets)
    made = {
        one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "ExternalSecret"
    }
    assert made.keys() == {"kms-monitor-mqtt", "kms-material"}
    assert made["kms-monitor-mqtt"]["secretStoreRef"]["kind"] == "ClusterSecretStore"
    assert [one["valueFrom"] for one in container_of(found)["env"] if "valueFrom" in one] == [
        {"secretKeyRef": {"name": "kms-monitor-mqtt", "key": "password"}}
    ]


def test_the_network_policy_lets_out_what_the_settings_name() -> None:
    def ports(name: str) -> set[int]:
        egress = only(manifests(name), "NetworkPolicy")["spec"]["egress"]
        return {port["port"] for rule in egress for port in rule["ports"]}

    assert ports("minimal") == {53, 443, 80}
    assert ports("secrets") == {53, 443, 80, 8883, 8200, 8443}
    assert ports("everything") == {53, 443, 80, 3128}


def test_an_arbitrary_user_id_may_be_chosen_by_the_cluster() -> None:
    for pod in pods(manifests("openshift")):
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_what_is_there_already_is_not_made() -> None:
    found = manifests("own")
    kinds = {one["kind"] for one in found}
    assert kinds.isdisjoint({"ConfigMap", "PersistentVolumeClaim", "ServiceAccount"})
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "guard"
    assert pod["volumes"][0]["configMap"]["name"] == "kms-monitor-settings"
    assert pod["volumes"][2]["persistentVolumeClaim"]["claimName"] == "guard-state"


def test_everything_of_the_user_is_there() -> None:
    found = manifests("everything")
    text = yaml.safe_dump_all(found)
    for word in (
        *("gvisor", "example.com/owner", "example.com/scan", "example.com/tier", "ndots"),
        *("AWS_STS_REGIONAL_ENDPOINTS", "name: proxy", "/etc/plugins", "wait:1", "proxy:1"),
        *("kms-monitor-extra", "eu-central-1", "10.0.0.9", "hostUsers: false", "NoSchedule"),
    ):
        assert word in text, word
    assert all(
        one["metadata"]["labels"]["team"] == "security"
        for one in found
        if one["metadata"]["name"] == "kms-monitor-guard"
    )


def test_the_packed_chart_renders_the_same(tmp_path: Path) -> None:
    done = run("package", reference.CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.glob("*.tgz")
    assert template("sqlite", chart=packed) == template("sqlite")


@pytest.mark.parametrize("name", ["minimal", "dynamodb", "openshift", "everything"])
def test_the_notes_say_what_to_do_next(name: str, tmp_path: Path) -> None:
    """`helm template` leaves them out, and a dry run asks a cluster: here they are in a ConfigMap."""
    chart = tmp_path / "kms-monitor"
    shutil.copytree(reference.CHART, chart)
    text = (chart / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    (chart / "templates" / "NOTES.txt").unlink()
    (chart / "templates" / "_notes.tpl").write_text(
        '{{ define "notes" }}' + text + "{{ end }}", encoding="utf-8"
    )
    (chart / "templates" / "notes.yaml").write_text(
        'kind: Notes\ntext: {{ include "notes" . | quote }}\n', encoding="utf-8"
    )
    notes = only(parsed(template(name, chart=chart)), "Notes")["text"]
    fullname = only(manifests(name), "Deployment")["metadata"]["name"]
    assert f"kubectl -n guards rollout status deployment/{fullname}" in notes
    assert ("observe" in notes) == ("mode: observe" in values_of(name).read_text())
    assert ("WARNING" in notes) == (name in {"openshift", "everything"})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--set", "replicas=2"], "several replicas need settings.store.kind: dynamodb"),
        (
            ["--set", "replicas=2,settings.store.kind=memory"],
            "several replicas need settings.store.kind: dynamodb",
        ),
        (["--set", "keda.enabled=true"], "several replicas need settings.store.kind: dynamodb"),
        (
            ["--set", "autoscaling.enabled=true"],
            "several replicas need settings.store.kind: dynamodb",
        ),
        (["--set", "replicas=0"], "nobody would guard the keys"),
        (["--set", "settings.grace_seconds=58"], "terminationGracePeriodSeconds must be"),
        (["--set", "terminationGracePeriodSeconds=25"], "terminationGracePeriodSeconds must be"),
        (["--set", "serviceMonitor.enabled=true,podMonitor.enabled=true"], "choose one"),
        (
            [
                "--set",
                "keda.enabled=true,autoscaling.enabled=true,settings.store.kind=dynamodb",
            ],
            "choose one",
        ),
        (["--set", "image.repository="], "image.repository is required"),
        (["--set", "settings.mode=enfroce"], "value must be one of 'observe', 'enforce'"),
        (["--set", "settings.sweep.every=3"], "additional properties 'every' not allowed"),
        (["--set", "replicaCount=2"], "additional properties 'replicaCount' not allowed"),
        (["--kube-version", "1.26"], "incompatible with Kubernetes"),
    ],
)
def test_what_would_guard_nothing_is_refused_with_a_sentence(
    flags: list[str], sentence: str
) -> None:
    done = run(
        *("template", "kms-monitor", reference.CHART, "--kube-version", "1.31"),
        *("--values", str(values_of("minimal")), *flags),
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("mode", "settings.mode is required: observe (write nothing to KMS) or enforce"),
        ("queues", "settings.queues is required"),
        ("accounts", "settings.accounts or settings.organizations is required"),
    ],
)
def test_what_is_missing_is_named(missing: str, sentence: str, tmp_path: Path) -> None:
    values = yaml.safe_load(values_of("minimal").read_text(encoding="utf-8"))
    del values["settings"][missing]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = run(
        *("template", "kms-monitor", reference.CHART, "--kube-version", "1.31"), "--values", file
    )
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize(
    "page", ["docs/install-kubernetes.md", "deploy/helm/kms-monitor/README.md"]
)
def test_the_examples_of_the_pages_are_true(page: str, tmp_path: Path) -> None:
    """The first block is a whole file of values; the others are put over it."""
    text = (reference.DEPLOY.parent / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    assert blocks[0].startswith("# values.yaml\n")
    for index, block in enumerate(blocks):
        (tmp_path / f"{index}.yaml").write_text(block, encoding="utf-8")
        done = run(
            *("template", "kms-monitor", reference.CHART, "--kube-version", "1.31"),
            *("--values", tmp_path / "0.yaml", "--values", tmp_path / f"{index}.yaml"),
        )
        assert done.returncode == 0, done.stderr
        found = parsed(done.stdout)
        for one in found:
            check(one, VERSIONS[-1])
        settings_in(found, tmp_path)
