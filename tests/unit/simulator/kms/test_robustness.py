"""Whatever is asked, the answer is a Reply in botocore's shapes or a Refusal; never a traceback."""

import base64
import json
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.parsers import create_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.simulator.kms import Kms, wire
from monitor.simulator.kms.service import OPERATIONS
from monitor.simulator.words import Caller, Refusal

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

ACCOUNT, REGION = "111122223333", "eu-west-1"
CALLER = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/admin")
DAY = 86400.0

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


Names = dict[str, list[str]]


def plausible(shape: Any, names: Names, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a shape that mostly pass validation, with names that exist among them."""
    made: st.SearchStrategy[Any]
    match shape.type_name:
        case _ if name in names:
            return st.sampled_from(names[name])
        case "structure":
            members = {key: plausible(each, names, key) for key, each in shape.members.items()}
            required = {key: members.pop(key) for key in shape.required_members}
            # Each optional member is mostly absent: together they mostly contradict each other.
            made = st.tuples(
                st.fixed_dictionaries(required),
                st.sampled_from([{}, {}, *({key: each} for key, each in members.items())]),
                st.fixed_dictionaries({}, optional=members),
                st.integers(0, 3),
            ).flatmap(
                lambda drawn: st.fixed_dictionaries(drawn[1]).map(
                    lambda one: drawn[0] | (drawn[2] if drawn[3] == 0 else one)
                )
            )
        case "list":
            made = st.lists(plausible(shape.member, names, name), max_size=3)
        case "map":
            made = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
        case "timestamp":
            made = st.floats(1.79e9, 1.83e9)
        case "blob":
            made = st.binary(min_size=1, max_size=80).map(lambda b: base64.b64encode(b).decode())
        case "boolean":
            made = st.booleans()
        case "integer":
            made = st.integers(shape.metadata.get("min", 0), shape.metadata.get("max", 9999))
        case _ if shape.enum:
            made = st.sampled_from(shape.enum)
        case _:
            made = st.text("abc:/-=0", max_size=10)
    return made


@st.composite
def calls(draw: st.DrawFn, names: Names) -> tuple[str, Any, str, float]:
    operation = draw(st.sampled_from(sorted(OPERATIONS)))
    shape = wire.operation_model(operation).input_shape
    assert shape is not None
    parameters = draw(plausible(shape, names))
    if draw(st.integers(0, 9)) == 0:
        parameters[draw(st.sampled_from(sorted(shape.members) or ["KeyId"]))] = draw(junk)
    if draw(st.integers(0, 30)) == 0:
        parameters = draw(junk)
    region = draw(st.sampled_from([REGION] * 5 + ["us-east-1"]))
    return operation, parameters, region, draw(st.sampled_from([0.0, 1.0, 1.0, 10 * DAY]))


def furnished(clock: list[float]) -> tuple[Kms, Names]:
    """A KMS with a bit of everything in it, and the names by which it can be reached."""
    kms = Kms(now=lambda: clock[0], rng=random.Random(1))

    def call(operation: str, **parameters: Any) -> dict[str, Any]:
        return kms.call(operation, parameters, caller=CALLER, account=ACCOUNT, region=REGION).body

    kinds: list[dict[str, Any]] = [
        {},
        {"MultiRegion": True},
        {"Origin": "EXTERNAL", "MultiRegion": True},
        {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ]
    keys = [call("CreateKey", **kind)["KeyMetadata"]["Arn"] for kind in kinds]
    call("CreateAlias", AliasName="alias/a", TargetKeyId=keys[0])
    grant = call("CreateGrant", KeyId=keys[0], GranteePrincipal=CALLER.arn, Operations=["Decrypt"])
    store = call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CustomKeyStoreType="AWS_CLOUDHSM",
        CloudHsmClusterId="cluster-a2b3c4defgh",
        TrustAnchorCertificate="certificate",
        KeyStorePassword="password",
    )["CustomKeyStoreId"]
    ids = [arn.rpartition("/")[2] for arn in keys]
    every_key = [*keys, *ids, "alias/a", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/a", "nothing"]
    sealed = call("Encrypt", KeyId="alias/a", Plaintext="aGk=")["CiphertextBlob"]
    return kms, {
        "KeyId": every_key,
        "TargetKeyId": every_key,
        "SourceKeyId": every_key,
        "DestinationKeyId": every_key,
        "AliasName": ["alias/a", "alias/b", "alias/aws/a", "a"],
        "CiphertextBlob": [sealed, sealed, "AAAA", sealed[:40]],
        "GrantId": [grant["GrantId"], "0"],
        "GrantToken": [grant["GrantToken"], "0"],
        "GranteePrincipal": [CALLER.arn],
        "RetiringPrincipal": [CALLER.arn],
        "Policy": [call("GetKeyPolicy", KeyId=keys[0])["Policy"], "{}", '{"Statement": []}', "]"],
        "ReplicaRegion": ["us-east-1", REGION, "cn-north-1"],
        "PrimaryRegion": ["us-east-1", REGION],
        "CustomKeyStoreId": [store, "cks-0"],
        "CloudHsmClusterId": ["cluster-a2b3c4defgh", "cluster-aaaaaaaaaaa"],
        "KeySpec": ["SYMMETRIC_DEFAULT", "AES_256", "RSA_2048", "HMAC_512"],
        "WrappingKeySpec": ["RSA_2048", "SM2"],
    }


_KMS_NAMES = furnished([1.795e9])[1]


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(script=st.lists(calls(_KMS_NAMES), min_size=1, max_size=12))
def test_only_replies_and_refusals(
    world: "World", script: list[tuple[str, Any, str, float]]
) -> None:
    clock = [1.795e9]
    kms, names = furnished(clock)
    assert names["KeyId"] == _KMS_NAMES["KeyId"]  # seeded, so that the drawn names exist
    for operation, parameters, region, passed in script:
        clock[0] += passed
        how: dict[str, Any] = {"caller": CALLER, "account": ACCOUNT, "region": region}
        try:
            reply = kms.call(operation, parameters, **how)
        except Refusal as refusal:
            msgspec.json.encode([refusal.code, refusal.message, refusal.request_parameters])
        else:
            world.check(operation, reply)
        denied = kms.authorization_error(operation, parameters, **how, why="no policy allows it")
        assert denied.trail_code == "AccessDenied"
    kms.tick()


@pytest.mark.parametrize("operation", ["NoSuchThing", "", "kms:DescribeKey", "describekey"])
def test_an_unknown_operation(world: "World", operation: str) -> None:
    assert world.refused(operation).code == "UnknownOperationException"


def test_botocore_reads_an_answer(world: "World") -> None:
    key = world.create(MultiRegion=True, Description="payments")
    reply = world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=9)
    shape = wire.operation_model("ScheduleKeyDeletion").output_shape
    assert shape is not None
    answer = {"status_code": 200, "headers": {}, "body": json.dumps(reply.body).encode()}
    parsed = create_parser("json").parse(answer, shape)
    assert parsed["KeyId"] == key
    assert parsed["DeletionDate"].timestamp() == world.time + 9 * DAY
    assert (parsed["KeyState"], parsed["PendingWindowInDays"]) == ("PendingDeletion", 9)


MUST = "failed to satisfy constraint: Member must"


@pytest.mark.parametrize(
    ("operation", "parameters", "complaints"),
    [
        ("DisableKey", {}, [f"Value null at 'keyId' {MUST} not be null"]),
        (
            "EnableKeyRotation",
            {"KeyId": "x", "RotationPeriodInDays": 89},
            [
                f"Value '89' at 'rotationPeriodInDays' {MUST} have value greater than or equal to 90",
            ],
        ),
        (
            "ScheduleKeyDeletion",
            {"KeyId": "x", "PendingWindowInDays": 6},
            [f"Value '6' at 'pendingWindowInDays' {MUST} have value greater than or equal to 7"],
        ),
        (
            "ScheduleKeyDeletion",
            {"KeyId": "x", "PendingWindowInDays": 31},
            [f"Value '31' at 'pendingWindowInDays' {MUST} have value less than or equal to 30"],
        ),
        (
            "TagResource",
            {"KeyId": 5, "Tags": [{"TagKey": "a"}]},
            [
                f"Value '5' at 'keyId' {MUST} be a string",
                f"Value null at 'tags.1.member.tagValue' {MUST} not be null",
            ],
        ),
    ],
)
def test_validation_messages(
    world: "World", operation: str, parameters: dict[str, Any], complaints: list[str]
) -> None:
    refusal = world.refused(operation, **parameters)
    assert refusal.code == "ValidationException"
    count = f"{len(complaints)} validation error{'s' if len(complaints) > 1 else ''} detected"
    assert refusal.message == f"{count}: {'; '.join(complaints)}"


def test_lists_come_in_pages(world: "World") -> None:
    made = sorted(world.create() for _ in range(7))
    seen: list[str] = []
    page: dict[str, Any] = {}
    while True:
        marker = {"Marker": page["NextMarker"]} if page else {}
        page = world.call("ListKeys", Limit=3, **marker).body
        seen += [key["KeyArn"] for key in page["Keys"]]
        if not page["Truncated"]:
            break
    assert seen == made
    assert world.refused("ListKeys", Marker="nonsense").code == "InvalidMarkerException"
