"""Who may do what: identifiers, key policies, grants, other accounts, AWS managed keys."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator.kms.policies import Policy, Question
from monitor.simulator.words import Caller, Refusal

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

ROOT = "arn:aws:iam::111122223333:root"
ROLE = Caller(
    account="111122223333",
    arn="arn:aws:sts::111122223333:assumed-role/ops/session",
    role_arn="arn:aws:iam::111122223333:role/path/ops",
)


def statement(effect: str, principal: Any, action: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*", **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


# -- identifiers -------------------------------------------------------------------------------


def test_control_operations_take_no_aliases(world: "World") -> None:
    key = world.create()
    world.call("CreateAlias", AliasName="alias/payments", TargetKeyId=key)
    arn = "arn:aws:kms:eu-west-1:111122223333:alias/payments"
    for name in ("alias/payments", arn, key, key.rpartition("/")[2]):
        assert world.describe(name)["Arn"] == key
        assert world.call("Encrypt", KeyId=name, Plaintext="aGk=").body["KeyId"] == key
    assert world.refused("DisableKey", KeyId="alias/payments").code == "NotFoundException"
    refusal = world.refused("DisableKey", KeyId=arn)
    assert refusal.code == "InvalidArnException"
    assert refusal.message == "Key Aliases are not supported for this operation"


def test_names_that_lead_nowhere(world: "World") -> None:
    key = world.create()
    elsewhere = key.replace("eu-west-1", "us-west-2")
    unknown = key[:-4] + "0000"
    for name, code, message in [
        (elsewhere, "NotFoundException", "Invalid arn us-west-2"),
        (unknown, "NotFoundException", f"Key '{unknown}' does not exist"),
        ("nonsense", "NotFoundException", f"Key '{key.rpartition('/')[0]}/nonsense' does not exist"),
        ("alias/none", "NotFoundException", "Alias arn:aws:kms:eu-west-1:111122223333:alias/none is not found."),
        ("arn:aws:s3:::bucket", "InvalidArnException", "Invalid arn arn:aws:s3:::bucket"),
    ]:  # fmt: skip
        refusal = world.refused("DescribeKey", KeyId=name)
        assert (refusal.code, refusal.message) == (code, message)
        assert (refusal.request_parameters, refusal.resources) == (None, ())
        assert refusal.read_only


def test_aliases(world: "World") -> None:
    key = world.create()
    world.call("CreateAlias", AliasName="alias/a", TargetKeyId=key)
    refused = world.refused("CreateAlias", AliasName="alias/a", TargetKeyId=key)
    assert refused.code == "AlreadyExistsException"
    refused = world.refused("CreateAlias", AliasName="a", TargetKeyId=key)
    assert refused.code == "ValidationException"
    refused = world.refused("CreateAlias", AliasName="alias/aws/a", TargetKeyId=key)
    assert refused.code == "NotAuthorizedException"
    signing = world.create(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    refused = world.refused("UpdateAlias", AliasName="alias/a", TargetKeyId=signing)
    assert refused.code == "ValidationException"
    world.call("DeleteAlias", AliasName="alias/a")
    assert world.refused("DeleteAlias", AliasName="alias/a").code == "NotFoundException"


# -- key policies ------------------------------------------------------------------------------


def test_a_hostile_policy_locks_everybody_else_out(world: "World") -> None:
    key = world.create()
    mine = document(statement("Allow", {"AWS": world.mallory.arn}, "kms:*"))
    world.call("PutKeyPolicy", caller=world.mallory, KeyId=key, Policy=mine)
    world.call("ScheduleKeyDeletion", caller=world.mallory, KeyId=key, PendingWindowInDays=7)
    refusal = world.refused("CancelKeyDeletion", KeyId=key)
    assert (refusal.code, refusal.trail_code) == ("AccessDeniedException", "AccessDenied")
    assert refusal.message == (
        "User: arn:aws:iam::111122223333:user/admin is not authorized to perform: "
        f"kms:CancelKeyDeletion on resource: {key} because no resource-based policy allows the "
        "kms:CancelKeyDeletion action"
    )
    assert (refusal.request_parameters, refusal.resources) == (None, ())
    assert world.refused("DescribeKey", KeyId=key).code == "AccessDeniedException"
    world.call("CancelKeyDeletion", caller=world.mallory, KeyId=key)


def test_the_lockout_check_and_its_bypass(world: "World") -> None:
    key = world.create()
    for empty in (document(), document(statement("Allow", {"AWS": ROOT}, "kms:Describe*"))):
        refusal = world.refused("PutKeyPolicy", KeyId=key, Policy=empty)
        assert refusal.code == "MalformedPolicyDocumentException"
        assert "will not allow you to update the key policy" in refusal.message
    world.call("PutKeyPolicy", KeyId=key, Policy=document(), BypassPolicyLockoutSafetyCheck=True)
    assert world.refused("GetKeyPolicy", KeyId=key).code == "AccessDeniedException"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"Statement": 5}',
        '{"Version": "1999-01-01", "Statement": []}',
        document({"Effect": "Maybe"}),
        document({"Effect": "Allow", "Principal": "*", "Resource": "*"}),
        document({"Effect": "Allow", "Principal": "*", "Action": "kms:*"}),
        document({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}),
        document(statement("Allow", {"AWS": "nobody"}, "kms:*")),
        document(statement("Allow", "*", "kms:*", Condition=[])),
        "[" * 5000,
    ],
)
def test_malformed_policies(world: "World", text: str) -> None:
    key = world.create()
    refusal = world.refused("PutKeyPolicy", KeyId=key, Policy=text)
    assert refusal.code == "MalformedPolicyDocumentException"


def test_policy_names_and_sizes(world: "World") -> None:
    key = world.create()
    policy = world.call("GetKeyPolicy", KeyId=key).body
    assert policy["PolicyName"] == "default"
    assert world.call("ListKeyPolicies", KeyId=key).body["PolicyNames"] == ["default"]
    refused = world.refused(
        "PutKeyPolicy", KeyId=key, PolicyName="AWS_RAM", Policy=policy["Policy"]
    )
    assert refused.code == "ValidationException"
    refused = world.refused("GetKeyPolicy", KeyId=key, PolicyName="other")
    assert refused.code == "NotFoundException"
    refused = world.refused("PutKeyPolicy", KeyId=key, Policy=policy["Policy"] + " " * 33000)
    assert refused.code == "LimitExceededException"


ALICE = "arn:aws:iam::111122223333:user/admin"
ACCOUNT_IS = {"StringEquals": {"kms:CallerAccount": "111122223333"}}
ROLE_IS = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}
UNKNOWN = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


@pytest.mark.parametrize(
    ("who", "statements", "allowed"),
    [
        ("admin", [statement("Allow", {"AWS": ROOT}, "kms:*")], True),
        ("admin", [statement("Allow", {"AWS": "111122223333"}, "kms:*")], True),
        ("admin", [statement("Allow", "*", "*")], True),
        ("admin", [statement("Allow", {"AWS": [ALICE, "*"]}, ["kms:Enc*", "kms:disablekey"])], True),
        ("admin", [statement("Allow", {"AWS": ROOT}, "kms:Enable*")], False),
        ("admin", [statement("Allow", {"AWS": ROOT}, "kms:Disable?ey")], True),
        ("admin", [statement("Allow", {"Service": "rds.amazonaws.com"}, "kms:*")], False),
        ("admin", [statement("Allow", {"AWS": "arn:aws:iam::444455556666:root"}, "kms:*")], False),
        ("admin", [{"Effect": "Allow", "Principal": "*", "NotAction": "kms:Dis*", "Resource": "*"}], False),
        ("admin", [statement("Allow", "*", "kms:*", Resource="arn:aws:kms:*:*:key/other")], False),
        ("role", [statement("Allow", {"AWS": ROLE.role_arn}, "kms:*")], True),
        ("role", [statement("Allow", {"AWS": ROLE.arn}, "kms:*")], True),
        ("role", [statement("Allow", {"AWS": "arn:aws:iam::111122223333:role/ops"}, "kms:*")], False),
        ("role", [statement("Allow", "*", "kms:*", Condition=ROLE_IS)], True),
        ("admin", [statement("Allow", "*", "kms:*", Condition=ROLE_IS)], False),
        ("admin", [statement("Allow", "*", "kms:*", Condition=ACCOUNT_IS)], True),
        ("eve", [statement("Allow", "*", "kms:*", Condition=ACCOUNT_IS)], False),
        ("admin", [statement("Allow", "*", "kms:*", Condition=UNKNOWN)], False),
        ("admin", [statement("Allow", "*", "kms:*"), statement("Deny", {"AWS": ALICE}, "kms:DisableKey")], False),
        ("admin", [statement("Allow", "*", "kms:*"), statement("Deny", "*", "kms:*", Condition=UNKNOWN)], False),
        ("admin", [statement("Allow", "*", "kms:*"), statement("Deny", "*", "kms:*", Condition=ROLE_IS)], True),
        ("admin", [statement("Allow", "*", "kms:*"), {"Effect": "Deny", "NotPrincipal": {"AWS": ALICE}, "Action": "*", "Resource": "*"}], True),
        ("role", [statement("Allow", "*", "kms:*"), {"Effect": "Deny", "NotPrincipal": {"AWS": ALICE}, "Action": "*", "Resource": "*"}], False),
    ],
)  # fmt: skip
def test_policy_evaluation(
    world: "World", who: str, statements: list[dict[str, Any]], allowed: bool
) -> None:
    caller = {"admin": world.admin, "role": ROLE, "eve": world.stranger}[who]
    key = "arn:aws:kms:eu-west-1:111122223333:key/1"
    question = Question("DisableKey", caller, key, "eu-west-1")
    policy = Policy.parse(document(*statements))
    assert (policy.allows(question) and not policy.denies(question)) is allowed


# -- other accounts ----------------------------------------------------------------------------


def test_another_account_by_arn_and_policy_and_only_for_some_operations(world: "World") -> None:
    key = world.create()
    assert world.refused("DescribeKey", caller=world.stranger, KeyId=key).code == (
        "AccessDeniedException"
    )
    opened = document(statement("Allow", "*", "kms:*"))
    world.call("PutKeyPolicy", KeyId=key, Policy=opened)
    shown = world.call("DescribeKey", caller=world.stranger, KeyId=key).body["KeyMetadata"]
    assert shown["AWSAccountId"] == world.account
    sealed = world.call("Encrypt", caller=world.stranger, KeyId=key, Plaintext="aGk=").body
    world.call("Decrypt", caller=world.stranger, CiphertextBlob=sealed["CiphertextBlob"])
    for operation in ("DisableKey", "ScheduleKeyDeletion", "GetKeyPolicy", "ListResourceTags"):
        refusal = world.refused(operation, caller=world.stranger, KeyId=key)
        assert refusal.code == "AccessDeniedException"
    bare = world.refused("DescribeKey", caller=world.stranger, KeyId=key.rpartition("/")[2])
    assert bare.code == "NotFoundException"


# -- grants ------------------------------------------------------------------------------------


def test_grants_give_what_the_policy_does_not(world: "World") -> None:
    key = world.create()
    grant = world.call(
        "CreateGrant",
        KeyId=key,
        GranteePrincipal=world.stranger.arn,
        RetiringPrincipal=world.mallory.arn,
        Operations=["Encrypt", "Decrypt"],
        Constraints={"EncryptionContextSubset": {"app": "x"}},
        Name="for-eve",
    ).body
    use: dict[str, Any] = {"caller": world.stranger, "KeyId": key, "Plaintext": "aGk="}
    world.call("Encrypt", **use, EncryptionContext={"app": "x", "more": "y"})
    assert world.refused("Encrypt", **use).code == "AccessDeniedException"
    assert world.refused("DescribeKey", caller=world.stranger, KeyId=key).code == (
        "AccessDeniedException"
    )
    (entry,) = world.call("ListGrants", KeyId=key, GrantId=grant["GrantId"]).body["Grants"]
    assert (entry["Name"], entry["IssuingAccount"]) == ("for-eve", ROOT)
    assert world.call("ListGrants", KeyId=key, GrantId="other").body["Grants"] == []
    listed = world.call("ListRetirableGrants", RetiringPrincipal=world.mallory.arn).body["Grants"]
    assert listed == [entry]
    by_id: dict[str, Any] = {"KeyId": key, "GrantId": grant["GrantId"]}
    refusal = world.refused("RetireGrant", caller=world.stranger, **by_id)
    assert refusal.code == "AccessDeniedException"
    world.call("RetireGrant", caller=world.mallory, GrantToken=grant["GrantToken"])
    assert world.refused("RetireGrant", GrantToken=grant["GrantToken"]).code == (
        "InvalidGrantTokenException"
    )
    assert world.refused("RevokeGrant", **by_id).code == "NotFoundException"


def test_a_named_grant_is_made_once_and_a_dry_run_makes_none(world: "World") -> None:
    key = world.create()
    wanted: dict[str, Any] = {
        "KeyId": key,
        "GranteePrincipal": world.mallory.arn,
        "Operations": ["Decrypt"],
        "Name": "once",
    }
    assert world.refused("CreateGrant", **wanted, DryRun=True).code == "DryRunOperationException"
    assert world.call("ListGrants", KeyId=key).body["Grants"] == []
    first = world.call("CreateGrant", **wanted).body
    assert world.call("CreateGrant", **wanted).body == first
    world.call("RevokeGrant", KeyId=key, GrantId=first["GrantId"])
    wrong: dict[str, Any] = {**wanted, "Operations": ["Sign"]}
    assert world.refused("CreateGrant", **wrong).code == "ValidationException"


# -- AWS managed keys --------------------------------------------------------------------------


def test_aws_managed_keys_can_be_seen_but_not_touched(world: "World") -> None:
    key = world.kms.make_managed_key("sqs", account=world.account, region=world.region)
    assert key == world.kms.make_managed_key("sqs", account=world.account, region=world.region)
    assert world.describe("alias/aws/sqs")["KeyManager"] == "AWS"
    assert world.call("GetKeyRotationStatus", KeyId=key).body["KeyRotationEnabled"]
    policy = world.call("GetKeyPolicy", KeyId=key).body["Policy"]
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("DisableKey", {}),
        ("ScheduleKeyDeletion", {}),
        ("PutKeyPolicy", {"Policy": policy, "BypassPolicyLockoutSafetyCheck": True}),
        ("TagResource", {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        ("DisableKeyRotation", {}),
        ("Encrypt", {"Plaintext": "aGk="}),
    ]
    for operation, more in attempts:
        assert world.refused(operation, KeyId=key, **more).code == "AccessDeniedException"
    service = Caller(account=world.account, arn="", service="sqs.amazonaws.com")
    world.call("Encrypt", caller=service, KeyId=key, Plaintext="aGk=")


# -- what IAM refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "resource"),
    [
        ({"KeyId": "0a1b"}, "arn:aws:kms:eu-west-1:111122223333:key/0a1b"),
        ({"KeyId": "arn:aws:kms:eu-west-1:1:key/9"}, "arn:aws:kms:eu-west-1:1:key/9"),
        ({"AliasName": "alias/x"}, "arn:aws:kms:eu-west-1:111122223333:alias/x"),
        ({}, "*"),
        ({"KeyId": 5}, "*"),
    ],
)
def test_authorization_error(world: "World", parameters: dict[str, Any], resource: str) -> None:
    def refusal(why: str) -> Refusal:
        return world.kms.authorization_error(
            "DisableKey",
            parameters,
            caller=world.admin,
            account=world.account,
            region=world.region,
            why=why,
        )

    start = f"User: {world.admin.arn} is not authorized to perform: kms:DisableKey on resource: "
    no_policy = refusal("no identity-based policy allows the kms:DisableKey action")
    assert no_policy.message == (
        f"{start}{resource} because no identity-based policy allows the kms:DisableKey action"
    )
    assert (no_policy.code, no_policy.trail_code) == ("AccessDeniedException", "AccessDenied")
    assert (no_policy.request_parameters, no_policy.resources) == (None, ())
    denied = refusal("with an explicit deny in a service control policy")
    assert denied.message == f"{start}{resource} with an explicit deny in a service control policy"
