"""A cluster for the walk-through of docs/install-kubernetes.md: `python -m tests.cluster helm upgrade ...`.

`helm`, `kubectl` and `docker`, as far as the guide uses them; what else they can do is refused. Charts and
kustomizations are rendered by the real programs, what comes out is judged as an API server with Pod Security
would, and the container of the Deployment runs as a process of this machine, with its arguments, its
variables and its files; only `/etc` and `/var` are elsewhere. All of it is kept in $CLUSTER, a folder.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.manifests import VERSIONS, Manifest, against_restricted, check, only, parsed, pods
from tests.real.services import kustomize, require

HERE: Final = Path(os.environ.get("CLUSTER", "."))
VERSION: Final = VERSIONS[2]
PATIENCE: Final = 60.0
"""Seconds until a pod is ready, or has ended."""
IMAGE: Final = {"KMS_MONITOR_CONFIG": "/etc/kms-monitor/kms-monitor.yaml", "PYTHONSAFEPATH": "1"}
"""What the Dockerfile sets, and the chart does not."""
KEEP: Final = "helm.sh/resource-policy"


def kept(name: str, otherwise: Any) -> Any:
    file = HERE / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else otherwise


def keep(name: str, what: Any) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(what), "utf-8")


def rendered(*command: str) -> list[Manifest]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return parsed(done.stdout)


# -- what an API server and a kubelet do


def apply(manifests: list[Manifest], namespace: str) -> None:
    """Take the manifests, replace the pod, and wait until the new one is ready."""
    namespaces = kept("namespaces", {})
    for one in manifests:
        check(one, VERSION)
        if one["kind"] == "Namespace":
            namespaces[one["metadata"]["name"]] = one["metadata"].get("labels", {})
    keep("namespaces", namespaces)
    for one in manifests:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == namespace
    assert namespace in namespaces, f"there is no namespace {namespace}"
    if namespaces[namespace].get("pod-security.kubernetes.io/enforce") == "restricted":
        assert [fault for pod in pods(manifests) for fault in against_restricted(pod)] == []
    stop_pod()
    keep("objects", manifests)
    start_pod(manifests)


def container(manifests: list[Manifest]) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def mapped(text: str) -> str:
    """A path in the container, as it is out here."""
    return text.replace("/etc/", f"{HERE}/etc/").replace("/var/lib/", f"{HERE}/var/lib/")


def surroundings(manifests: list[Manifest]) -> dict[str, str]:
    """The container's variables, and the credentials that IRSA or Pod Identity would bring."""
    ours = ("PATH", "HOME", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY")
    given = {one["name"]: one["value"] for one in container(manifests)["env"]}
    return {
        **{name: os.environ[name] for name in ours},
        "AWS_ACCESS_KEY_ID": "kms-monitor",
        **{name: mapped(value) for name, value in (IMAGE | given).items()},
    }


def start_pod(manifests: list[Manifest]) -> None:
    one = container(manifests)
    assert one["image"] in kept("pushed", []), f"ImagePullBackOff: {one['image']}"
    for mount in one["volumeMounts"]:
        Path(mapped(mount["mountPath"])).mkdir(parents=True, exist_ok=True)
    for name, text in only(manifests, "ConfigMap")["data"].items():
        Path(mapped("/etc/kms-monitor"), name).write_text(text, "utf-8")
    command = ["kms-monitor", *map(mapped, one["args"])]
    with (HERE / "pod.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=surroundings(manifests), stdout=log, stderr=log, start_new_session=True
        )
    keep("pod", process.pid)
    probe = one["readinessProbe"]["httpGet"]
    end = time.monotonic() + PATIENCE
    while not answers(f"http://127.0.0.1:{port_of(one, probe['port'])}{probe['path']}"):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the pod is not ready:\n{(HERE / 'pod.log').read_text('utf-8')[-4000:]}")
        time.sleep(0.3)


def port_of(one: dict[str, Any], name: str) -> int:
    (found,) = (port["containerPort"] for port in one["ports"] if port["name"] == name)
    return int(found)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop_pod() -> None:
    """SIGTERM, and SIGKILL where that does not end it."""
    number = kept("pod", 0)
    keep("pod", 0)
    if not number:
        return
    os.kill(number, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while is_alive(number) and time.monotonic() < end:
        time.sleep(0.1)
    if is_alive(number):
        os.kill(number, signal.SIGKILL)
        sys.exit("the pod did not end by itself")


def is_alive(number: int) -> bool:
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text("utf-8").rpartition(")")[2].split()[0] != "Z"


def run_in_pod(words: Iterable[str]) -> int:
    manifests = kept("objects", [])
    assert kept("pod", 0), "there is no pod"
    program, *arguments = map(mapped, words)
    assert program == "kms-monitor"
    return subprocess.run(
        [program, *arguments], env=surroundings(manifests), check=False
    ).returncode


# -- the commands


def helm(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="helm")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrade = commands.add_parser("upgrade")
    upgrade.add_argument("name")
    upgrade.add_argument("chart")
    upgrade.add_argument("--install", action="store_true")
    upgrade.add_argument("--values", required=True)
    upgrade.add_argument("--set", action="append", default=[])
    for name in ("rollback", "uninstall", "test"):
        commands.add_parser(name).add_argument("name")
    for one in commands.choices.values():
        one.add_argument("--namespace", required=True)
        one.add_argument("--wait", action="store_true")
    asked = parser.parse_args(words)
    revisions = kept("revisions", [])
    assert revisions or (asked.command == "upgrade" and asked.install), "no such release"
    match asked.command:
        case "upgrade":
            options = ("--namespace", asked.namespace, "--values", asked.values)
            changes = [word for one in asked.set for word in ("--set", one)]
            found = rendered(
                *(require("helm"), "template", asked.name, asked.chart, "--kube-version", VERSION),
                *(*options, *changes),
            )
            apply(found, asked.namespace)
            keep("revisions", [*revisions, found])
        case "rollback":
            apply(revisions[-2], asked.namespace)
            keep("revisions", [*revisions, revisions[-2]])
        case "uninstall":
            stop_pod()
            left = [
                one
                for one in kept("objects", [])
                if one["metadata"].get("annotations", {}).get(KEEP) == "keep"
            ]
            keep("objects", left)
            keep("revisions", [])
        case _:
            return ready(kept("objects", []))
    return 0


def ready(manifests: list[Manifest]) -> int:
    """What `helm test` runs. Of a Service's name is made the address that it has here."""
    (test,) = (
        one["spec"]["containers"][0]
        for one in manifests
        if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"
    )
    service = only(manifests, "Service")
    url = urlsplit(test["args"][-1])
    assert url.hostname == service["metadata"]["name"]
    (target,) = (one["targetPort"] for one in service["spec"]["ports"] if one["port"] == url.port)
    here = f"http://127.0.0.1:{port_of(container(manifests), target)}{url.path}"
    return subprocess.run(["kms-monitor", *test["args"][:-1], here], check=False).returncode


def kubectl(words: list[str]) -> int:
    namespaces = kept("namespaces", {})
    match words:
        case ["create", "namespace", name]:
            keep("namespaces", namespaces | {name: {}})
        case ["label", "namespace", name, label]:
            namespaces[name] |= [label.split("=")]
            keep("namespaces", namespaces)
        case ["--namespace", namespace, "exec", target, "--", *command]:
            deployment = only(kept("objects", []), "Deployment")["metadata"]
            assert target == f"deployment/{deployment['name']}"
            assert namespace == deployment["namespace"]
            return run_in_pod(command)
        case ["kustomize", folder]:
            sys.stdout.write(json.dumps(rendered(*kustomize(), folder)) + "\n")
        case ["apply", "--kustomize", folder]:
            found = rendered(*kustomize(), folder)
            apply(found, only(found, "Namespace")["metadata"]["name"])
        case _:
            sys.exit(f"kubectl {shlex.join(words)}: not in this cluster")
    return 0


def docker(words: list[str]) -> int:
    match words:
        case ["build", "--tag", tag, folder]:
            assert Path(folder, "Dockerfile").is_file()
            keep("built", [*kept("built", []), tag])
        case ["push", tag]:
            assert tag in kept("built", []), f"no such image: {tag}"
            keep("pushed", [*kept("pushed", []), tag])
        case _:
            sys.exit(f"docker {shlex.join(words)}: not on this machine")
    return 0


def main() -> int:
    program, *words = sys.argv[1:]
    if program == "stop":
        stop_pod()
        return 0
    return {"helm": helm, "kubectl": kubectl, "docker": docker}[program](words)


if __name__ == "__main__":
    sys.exit(main())
