"""What a decision means for people: how the repair went, what is at stake, what to do, where to look.

Pure. Nothing here quotes text of an event: commands and links are built from parts that were
matched against the forms that AWS documents, and are left out where a part does not match. So
nobody can smuggle a command line or a foreign address into a message that people act upon.
"""

import re
from typing import Final

from monitor.decision import Action, Budget, Decision, Outcome, Reason, Verdict
from monitor.finding import Aspect, Finding, Kind
from monitor.key import KeyRef, KeyState, partition_of

CONSOLES: Final = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""The console's host for each partition; in front of it goes the Region."""
REGION: Final = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,3}-\d{1,2}")
INCIDENT: Final = re.compile(r"[0-9a-f]{32}")
EVENT_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

WORST_FIRST: Final = (
    Outcome.DENIED,
    Outcome.FAILED,
    Outcome.REFUSED,
    Outcome.RETRY,
    Outcome.UNCONFIRMED,
    Outcome.WOULD,
    Outcome.DONE,
    Outcome.ALREADY,
)
MEANT: Final = frozenset(
    {Reason.APPROVED_ACTOR, Reason.APPROVED_CHANGE, Reason.ACCEPTED_CHANGE, Reason.OWN_CALL}
)
FIGHT: Final = (
    "End the fight first: take the sessions or the rights from whoever does it, or stop the pipeline.",
    "If the change is meant: approve it, or name who makes it under `approved_actors`.",
    "Let the key be put back at once:\n$ kms-monitor incidents --resume {id} --reason TEXT",
)
"""What to do about a contested key."""
TOLD: Final = "told"
UNREPAIRED: Final = "unrepaired"

CLASSES: Final = {
    event_name: category
    for category, event_names in {
        "availability": "DisableKey EnableKey ScheduleKeyDeletion CancelKeyDeletion DeleteKey"
        " KeySeenWorse KeySeenBad KeySeenEnding KeySeenRight"
        " ConfigurationItemChangeNotification ComplianceChangeNotification"
        " DisconnectCustomKeyStore ConnectCustomKeyStore DeleteCustomKeyStore UpdateCustomKeyStore",
        "material": "DeleteImportedKeyMaterial ImportKeyMaterial DeleteExpiredKeyMaterial"
        " RotateKeyOnDemand RotateKey DisableKeyRotation EnableKeyRotation",
        "policy": "PutKeyPolicy CreateGrant RetireGrant RevokeGrant",
        "names": "CreateAlias UpdateAlias DeleteAlias TagResource UntagResource"
        " UpdateKeyDescription",
        "replication": "ReplicateKey UpdatePrimaryRegion SynchronizeMultiRegionKey",
        "use": "Decrypt Encrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext"
        " GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateMac VerifyMac Sign Verify"
        " DeriveSharedSecret",
        "sight": "StopLogging StartLogging DeleteTrail UpdateTrail PutEventSelectors"
        " PutInsightSelectors DeleteRule DisableRule EnableRule PutRule PutTargets RemoveTargets"
        " DeleteEventBus DeleteQueue PurgeQueue SetQueueAttributes AddPermission RemovePermission"
        " DeleteTopic SetTopicAttributes Unsubscribe SetSubscriptionAttributes DeleteBucket"
        " PutBucketPolicy DeleteBucketPolicy PutBucketLifecycle DeleteLogGroup DeleteTable"
        " SightDrifted SightFoundBad",
        "rights": "AttachRolePolicy DetachRolePolicy PutRolePolicy DeleteRolePolicy DeleteRole"
        " UpdateAssumeRolePolicy PutRolePermissionsBoundary DeleteRolePermissionsBoundary"
        " CreatePolicyVersion SetDefaultPolicyVersion DeletePolicy DeletePolicyVersion"
        " AttachUserPolicy DetachUserPolicy PutUserPolicy DeleteUserPolicy AttachPolicy DetachPolicy"
        " CreatePolicy UpdatePolicy",
    }.items()
    for event_name in event_names.split()
} | {"KMS CMK Deletion": "availability", "KMS Imported Key Material Expiration": "material"}
"""What an event is about, by its name. Others are grouped by their detector."""
SETTLED_IMPACT: Final = {
    Outcome.DONE.value: "The key is back in the state that counts as right; nothing is lost.",
    Outcome.ALREADY.value: "Nothing had to be done: the key is in the state that counts as right.",
    Outcome.UNCONFIRMED.value: (
        "A message claims this, but neither the key nor CloudTrail confirms it: the message may"
        " be forged or out of date."
    ),
}
SIGHT_IMPACT: Final = {
    Outcome.DONE.value: (
        "What we see by is as it was. What happened meanwhile may not have reached us: the next"
        " sweep finds out."
    ),
    Outcome.ALREADY.value: "Nothing had to be done: what we see by is as it should be.",
    Outcome.UNCONFIRMED.value: (
        "A message claims this, but CloudTrail does not confirm it: the message may be forged or"
        " out of date."
    ),
}
"""The same where it is about no key."""
BLINDED: Final = "What is done to keys may no longer be told to kms-monitor; the sweep still looks."
ASPECTS: Final = {
    Aspect.POLICY: "Who may use the key, or rule it, is no longer as it should be.",
    Aspect.ROTATION: "The key still works, but is no longer rotated as it should be.",
    Aspect.ALIASES: "Whoever uses the key by an alias finds another key, or none.",
    Aspect.TAGS: "Rights and settings that rest on the key's tags no longer hold.",
    Aspect.GRANTS: "What a grant lets others do with the key is no longer as it should be.",
    Aspect.DESCRIPTION: "The key works; what people read about it is no longer right.",
    Aspect.REPLICATION: "The key's replicas, or its primary Region, are not where they should be.",
}
"""What it means where no change of state is told."""
LOOKS: Final = {
    Aspect.POLICY: ("get-key-policy", " --policy-name default"),
    Aspect.ROTATION: ("get-key-rotation-status", ""),
    Aspect.ALIASES: ("list-aliases", ""),
    Aspect.TAGS: ("list-resource-tags", ""),
    Aspect.GRANTS: ("list-grants", ""),
}
"""The command that shows how it is now; describe-key for all others."""
PENDING: Final = (
    "The key cannot be used now, and when its waiting period ends everything encrypted under it"
    " becomes unreadable for good."
)
IMPACT: Final[dict[KeyState | None, str]] = {
    KeyState.PENDING_DELETION: PENDING,
    KeyState.PENDING_REPLICA_DELETION: PENDING,
    KeyState.DISABLED: (
        "Nothing can be encrypted or decrypted under this key while it is disabled."
    ),
    KeyState.PENDING_IMPORT: (
        "The key has lost its imported material: data under it is unreadable until the very same"
        " material is imported again."
    ),
    KeyState.GONE: "The key is gone: everything encrypted under it is unreadable for good.",
}


def repairs(decision: Decision) -> list[Action]:
    """The actions that were to put the key back, among all that were carried out.

    An action does not say whether it repairs. Repairers act first and list the calls they sent, so
    whatever sent calls repaired, and the first responder counts unless it claims to be done
    without a call: a message must never say "repaired" because some other message went out. An
    accepted change counts too: an approval that nobody confirms is undone like any other change.
    """
    if decision.verdict not in {Verdict.REPAIR, Verdict.ACCEPT}:
        return []
    first = decision.responders[0] if decision.responders else ""
    return [
        action
        for action in decision.done
        if not action.about_caller
        and (
            action.calls
            or action.outcome is Outcome.WOULD
            or (action.responder == first and action.outcome is not Outcome.DONE)
        )
    ]


def stage(decision: Decision) -> str:
    """How far the repair came: an `Outcome`, or `unrepaired`, or `told` where none was due.

    The worst one where several responders repair. One finding may pass several stages, such as
    `retry` and then `done`, and each of them is news.
    """
    outcomes = {action.outcome for action in repairs(decision)}
    for outcome in WORST_FIRST:
        if outcome in outcomes:
            return outcome.value
    return UNREPAIRED if decision.verdict is Verdict.REPAIR and not decision.dry_run else TOLD


def category(finding: Finding) -> str:
    """What the finding is about, so that two findings about the same trouble can be grouped."""
    return CLASSES.get(finding.event_name) or finding.detector


def sent_calls(decision: Decision) -> list[str]:
    """Every writing call that was sent, in order."""
    return [call for action in repairs(decision) for call in action.calls]


def usable_key(finding: Finding) -> KeyRef | None:
    """The finding's key if its ARN has the documented form, so that it can stand in a command."""
    key = finding.key
    if key is None or KeyRef.parse(key.arn) != key or not REGION.fullmatch(key.region):
        return None
    return key


def impact(decision: Decision) -> str:
    """One sentence: what this means for the data under the key."""
    finding, how = decision.finding, stage(decision)
    match finding.kind:
        case Kind.ATTEMPT:
            return "The call failed and nothing changed, but somebody tried."
        case Kind.CHANGE:
            return "The change does no harm that a detector knows of."
        case Kind.NOTICE:
            return "No repair is made for this; it is for people to judge."
        case Kind.RECOVERY:
            return "Somebody took damage back: what was wrong may be over."
        case Kind.EVIDENCE:
            return "Something needed the key and could not use it: what depends on it fails now."
        case Kind.DAMAGE:
            pass
    if how == Outcome.DONE and "EnableKey" in sent_calls(decision):
        return "The key was out of use for a short while; it is usable again and nothing is lost."
    settled = SIGHT_IMPACT if finding.sight else SETTLED_IMPACT
    if how in settled:
        return settled[how]
    if finding.sight:
        return BLINDED
    if finding.caused is None and finding.aspect in ASPECTS:
        return ASPECTS[finding.aspect]
    return IMPACT.get(finding.caused, "The key, or control of it, may be lost to its owners.")


def steps(decision: Decision) -> list[str]:
    """What a person should do now, in order; commands stand on a line of their own after `$ `."""
    finding, how = decision.finding, stage(decision)
    key = usable_key(finding)
    if finding.kind is Kind.ATTEMPT:
        return ["Ask the caller why; take the right away if it is not needed."]
    if finding.kind is Kind.EVIDENCE:
        return shown(key) or ["See how the key is."]
    found = ["Find out whether the caller meant it; if not, revoke the caller's sessions."]
    if finding.kind is Kind.RECOVERY:
        return [*shown(key), *found]
    if finding.kind in {Kind.CHANGE, Kind.NOTICE} or how == Outcome.ALREADY:
        return found
    if how == Outcome.UNCONFIRMED:
        what = "it" if finding.sight else "the key"
        look = [f"Look at {what}, and at who may send messages to the queue of kms-monitor."]
        return look + shown(key)
    if how == Outcome.DONE:
        undo = undo_commands(decision, key)
        if undo:
            found.append("Only if it was meant, undo what kms-monitor did:\n" + "\n".join(undo))
        return found
    if decision.contested:
        incident = decision.incident
        name = incident.id[:8] if incident and INCIDENT.fullmatch(incident.id) else "ID"
        fight = FIGHT if decision.budget is Budget.KEY else FIGHT[2:]
        return [one.format(id=name) for one in fight]
    back = "put it back by hand" if finding.sight else "put the key back by hand"
    hand = back.capitalize()
    if decision.reason in MEANT:
        hand = f"Only if it was not meant, {back}"
    elif how == Outcome.RETRY:
        hand = f"If it stays so, {back}"
    commands = hand_commands(finding, key)
    head = []
    if how == Outcome.DENIED:
        head = ["Give kms-monitor its rights back (key policy, IAM policy, organization policy)."]
    return [*head, hand + (":\n" + "\n".join(commands) if commands else "."), *found]


def shown(key: KeyRef | None) -> list[str]:
    return [f"See how the key is:\n{command('describe-key', key)}"] if key else []


def command(name: str, key: KeyRef, extra: str = "") -> str:
    """One command line of the AWS CLI. `key` must have passed `usable_key`: no quoting needed."""
    return f"$ aws kms {name} --key-id {key.arn} --region {key.region}{extra}"


def undo_commands(decision: Decision, key: KeyRef | None) -> list[str]:
    """How to bring back what our calls undid, newest first."""
    if key is None:
        return []
    calls = sent_calls(decision)
    lines = []
    if "CancelKeyDeletion" in calls:
        window = decision.finding.details.get("window_days", "")
        days = int(window) if re.fullmatch(r"[0-9]{1,2}", window) else 30
        # 7 to 30 are what ScheduleKeyDeletion takes; 30 is its default.
        extra = f" --pending-window-in-days {days if 7 <= days <= 30 else 30}"
        lines.append(command("schedule-key-deletion", key, extra))
    elif "EnableKey" in calls:
        lines.append(command("disable-key", key))
    return lines


def hand_commands(finding: Finding, key: KeyRef | None) -> list[str]:
    """How to put the key back without us."""
    if key is None:
        return []
    match finding.caused:
        case KeyState.PENDING_DELETION | KeyState.PENDING_REPLICA_DELETION:
            return [command("cancel-key-deletion", key), command("enable-key", key)]
        case KeyState.DISABLED:
            return [command("enable-key", key)]
        case KeyState.PENDING_IMPORT:
            extra = " --wrapping-algorithm RSAES_OAEP_SHA_256 --wrapping-key-spec RSA_4096"
            return [command("get-parameters-for-import", key, extra)]
        case _:
            name, extra = LOOKS.get(finding.aspect, ("describe-key", ""))
            return [command(name, key, extra)]


def links(finding: Finding) -> dict[str, str]:
    """Pages of the console: `key` and `event`, as far as their parts are valid."""
    key = usable_key(finding)
    found = {}
    if key is not None and key.partition in CONSOLES:
        found["key"] = (
            f"https://{key.region}.{CONSOLES[key.partition]}/kms/home"
            f"?region={key.region}#/kms/keys/{key.key_id}"
        )
    region = finding.region
    host = CONSOLES.get(key.partition if key else partition_of(region))
    if host and REGION.fullmatch(region) and EVENT_ID.fullmatch(finding.event_id):
        found["event"] = (
            f"https://{region}.{host}/cloudtrailv2/home?region={region}#/events/{finding.event_id}"
        )
    return found
