"""Manifests of Kubernetes as tests look at them: parsed, checked by schema, and by Pod Security."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import kubernetes_validate
import yaml

from tests.external_secret import check_external_secret

Manifest = dict[str, Any]

VERSIONS: Final = ("1.27", "1.29", "1.31", "1.33", "1.35", "1.37")
"""Of Kubernetes: from the oldest that the chart takes to the newest whose schemas there are."""

MODELS: Final = {
    "PodMonitor": "prometheus_operator.v1",
    "PrometheusRule": "prometheus_operator.v1",
    "ScaledObject": "keda.v1alpha1",
    "ServiceMonitor": "prometheus_operator.v1",
    "TriggerAuthentication": "keda.v1alpha1",
}
"""Custom resources, and which of cloudcoil's models, made from their own schemas, has them. Those take seconds
to import, so only who meets such a resource does."""


def parsed(text: str) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(text) if one]


def check(manifest: Manifest, version: str) -> None:
    """Raise where Kubernetes or an operator would refuse it, or would drop a part of it unseen."""
    kind = manifest["kind"]
    if kind == "ExternalSecret":
        check_external_secret(manifest)
    elif kind in MODELS:
        models = import_module(f"cloudcoil.models.{MODELS[kind]}")
        model = getattr(models, kind).model_validate(manifest)
        again = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert again == manifest, f"{kind}: something in it is unknown"
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def only(manifests: list[Manifest], kind: str) -> Manifest:
    """The one of this kind."""
    (found,) = [one for one in manifests if one["kind"] == kind]
    return found


def pods(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    """The specifications of all pods."""
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif "template" in one.get("spec", {}) and "containers" in one["spec"]["template"].get(
            "spec", {}
        ):
            yield one["spec"]["template"]["spec"]


def against_restricted(pod: dict[str, Any]) -> list[str]:
    """What Kubernetes' Pod Security Standard `restricted` would refuse about a pod.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC", "hostProcess") if pod.get(name)]
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}
    allowed |= {"persistentVolumeClaim", "name"}
    found += [f"volume {one}" for one in pod.get("volumes", []) if set(one) - allowed]
    of_pod = pod.get("securityContext", {})
    if of_pod.get("runAsUser") == 0:
        found.append("runs as root")
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        both = {**of_pod, **own}
        if both.get("runAsNonRoot") is not True:
            found.append("runAsNonRoot")
        if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            found.append("seccompProfile")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append("capabilities")
        if own.get("privileged") or any("hostPort" in one for one in container.get("ports", [])):
            found.append("privileged or hostPort")
    return found


def variables(container: dict[str, Any]) -> dict[str, str]:
    """Environment variables with plain values, as the container's process gets them."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}
