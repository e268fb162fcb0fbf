"""The wire shapes of KMS: what a request may hold, and how CloudTrail writes it down.

The shapes are those of botocore's own model of the service (API version 2014-11-01), which ships
with every AWS client for Python, so required members, bounds, patterns and enumerations are AWS's
words and not ours.
"""

import base64
import binascii
import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StructureShape,
)

from monitor.simulator.kms.trail import trail_time
from monitor.simulator.words import Refusal

# These are no blobs and not marked sensitive in the model, yet CloudTrail does not show them.
NEVER_LOGGED = frozenset({"GrantToken", "GrantTokens", "DryRun", "DryRunModifiers", "Recipient"})

# Optional members that CloudTrail shows with their default when the caller left them out. Elsewhere
# an absent member stays absent (pendingWindowInDays, for one).
SHOWN_DEFAULTS: dict[str, dict[str, Any]] = {
    "Encrypt": {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    "Decrypt": {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    "ReEncrypt": {
        "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    },
    "Sign": {"MessageType": "RAW"},
    "Verify": {"MessageType": "RAW"},
    "PutKeyPolicy": {"PolicyName": "default", "BypassPolicyLockoutSafetyCheck": False},
    "ReplicateKey": {"Description": "", "BypassPolicyLockoutSafetyCheck": False},
    "CreateKey": {
        "Description": "",
        "Origin": "AWS_KMS",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "MultiRegion": False,
        "BypassPolicyLockoutSafetyCheck": False,
    },
}


@functools.cache
def service() -> ServiceModel:
    """AWS's model of KMS, read once from the installed botocore."""
    return ServiceModel(Loader().load_service_model("kms", "service-2"), "kms")


@functools.cache
def operation_model(operation: str) -> OperationModel:
    return service().operation_model(operation)


def accept(operation: str, parameters: Any) -> dict[str, Any]:
    """The members of a request that KMS knows, nulls dropped and blobs decoded to bytes.

    Unknown members are ignored, as AWS does. Raises ValidationException with every complaint.
    """
    shape = operation_model(operation).input_shape
    if not isinstance(parameters, dict):
        raise Refusal("ValidationException", "1 validation error detected: not a JSON object")
    if shape is None:
        return {}
    complaints: list[str] = []
    accepted = _accept(shape, parameters, "", complaints)
    if complaints:
        plural = "" if len(complaints) == 1 else "s"
        raise Refusal(
            "ValidationException",
            f"{len(complaints)} validation error{plural} detected: {'; '.join(complaints)}",
        )
    assert isinstance(accepted, dict)
    return accepted


def logged(shape: Shape | None, value: Any) -> Any:
    """`value` as CloudTrail writes it: lowerCamelCase, times as text, neither blobs nor secrets."""
    if shape is None:
        return value
    if isinstance(shape, StructureShape):
        return {
            lower_camel(name): logged(member, value[name])
            for name, member in shape.members.items()
            if name in value
            and name not in NEVER_LOGGED
            and member.type_name != "blob"
            and not member.metadata.get("sensitive")
        }
    if isinstance(shape, ListShape):
        return [logged(shape.member, each) for each in value]
    if shape.type_name == "timestamp":
        return trail_time(value)
    return value


def logged_request(operation: str, accepted: dict[str, Any]) -> dict[str, Any] | None:
    """CloudTrail's `requestParameters` of an accepted request; null when nothing is left."""
    shape = operation_model(operation).input_shape
    request: dict[str, Any] = logged(shape, SHOWN_DEFAULTS.get(operation, {}) | accepted)
    return request or None


def lower_camel(name: str) -> str:
    """`KeyId` -> `keyId`, and `AWSAccountId` -> `aWSAccountId`, which is how CloudTrail spells it."""
    return name[:1].lower() + name[1:]


def blob(data: bytes) -> str:
    """Bytes as the JSON protocol carries them."""
    return base64.b64encode(data).decode("ascii")


def _accept(shape: Shape, value: Any, path: str, complaints: list[str]) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return _accept_structure(shape, value, path, complaints)
    if isinstance(shape, ListShape) and isinstance(value, list):
        complaints += _bounds(shape, len(value), path, value)
        return [
            _accept(shape.member, each, f"{path}.{number}.member", complaints)
            for number, each in enumerate(value, start=1)
        ]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {
            _accept(shape.key, key, f"{path}.key", complaints): _accept(
                shape.value, each, f"{path}.{key}.member", complaints
            )
            for key, each in value.items()
        }
    return _accept_scalar(shape, value, path, complaints)


def _accept_scalar(shape: Shape, value: Any, path: str, complaints: list[str]) -> Any:
    accepted: Any = None
    match shape.type_name, value:
        case "boolean", bool():
            accepted = value
        case "integer" | "long", int() if not isinstance(value, bool):
            complaints += _bounds(shape, value, path, value)
            accepted = value
        case "string", str():
            complaints += _about_text(shape, value, path)
            accepted = value
        case "blob", str():
            accepted = _accept_blob(shape, value, path, complaints)
        case "timestamp", int() | float() if (
            # Beyond the year 9999 no calendar goes; JSON readers also let Infinity and NaN pass.
            not isinstance(value, bool) and 0 <= value < 253_402_300_800
        ):
            accepted = float(value)
        case _:
            complaints.append(_complaint(value, path, f"Member must be a {shape.type_name}"))
    return accepted


def _accept_structure(
    shape: StructureShape, value: dict[str, Any], path: str, complaints: list[str]
) -> dict[str, Any]:
    accepted = {}
    for name, member in shape.members.items():
        where = f"{path}.{lower_camel(name)}" if path else lower_camel(name)
        given = value.get(name)
        if given is not None:
            accepted[name] = _accept(member, given, where, complaints)
        elif name in shape.required_members:
            complaints.append(_complaint(None, where, "Member must not be null"))
    return accepted


def _accept_blob(shape: Shape, value: str, path: str, complaints: list[str]) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        complaints.append(f"Value at '{path}' failed to satisfy constraint: Member must be base64")
        return b""
    complaints += _bounds(shape, len(data), path, "...")
    return data


def _about_text(shape: Shape, value: str, path: str) -> Iterator[str]:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        yield f"Value at '{path}' failed to satisfy constraint: Member must be valid UTF-8"
        return
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        members = ", ".join(enum)
        yield _complaint(value, path, f"Member must satisfy enum value set: [{members}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value, re.ASCII):
        yield _complaint(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    yield from _bounds(shape, len(value), path, value)


def _bounds(shape: Shape, size: int, path: str, shown: Any) -> Iterator[str]:
    """Complaints about a number's value, or about the length of anything else."""
    noun = "value" if shape.type_name in {"integer", "long"} else "length"
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _complaint(shown, path, f"Member must have {noun} greater than or equal to {low}")
    if high is not None and size > high:
        yield _complaint(shown, path, f"Member must have {noun} less than or equal to {high}")


def _complaint(value: Any, path: str, constraint: str) -> str:
    # An int of many thousand digits cannot be printed at all (Python refuses), so bound it first.
    if isinstance(value, int) and abs(value) > 10**30:
        value = "..."
    shown = "null" if value is None else f"'{str(value)[:200]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
