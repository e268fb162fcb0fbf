"""Makes docs/peers.md: what 24 other systems detect, and where it is done, and tested, here.

`python -m tests.peers` prints the page; `make reference` writes it; a test demands that it is fresh
and that everything it points at is there. The survey itself is `tests/peers.csv`.
"""

import csv
import sys
from pathlib import Path

from monitor import plugins

ROOT = Path(__file__).parent.parent
SURVEY = ROOT / "tests" / "peers.csv"
TABLES = {
    "A": "Detections by KMS event",
    "B": "Blind spots, and tampering with the monitor itself",
    "C": "Over time",
}
SYSTEMS = {
    "C7": "Cloud Custodian",
    "PA": "Panther",
    "SA": "StreamAlert",
    "FA": "Falco cloudtrail",
    "EL": "Elastic",
    "SG": "Sigma",
    "TP": "Tailpipe mod",
    "SZ": "Suzaku",
    "MT": "Matano",
    "SB": "Substation",
    "SP": "Splunk ESCU",
    "GS": "Google SecOps rules",
    "RX": "Reflex",
    "AR": "ASR on AWS",
    "AW": "AWS's own pieces: Config rule, SSM runbooks, samples, alarms",
    "PR": "Prowler",
    "ED": "Ansible EDA",
    "NT": "Node Termination Handler",
    "KA": "Karpenter interruption",
    "TA": "TrailAlerts",
    "IO": "iota",
    "LG": "login.gov KMS monitor",
    "SK": "AWS Security Survival Kit",
    "MY": "MayaTrail playbook rules",
}
HEAD = """\
# What others detect, and what kms-monitor does

This page is made by `make reference`; do not write in it. It is a survey of 24 systems that watch, judge or repair KMS
keys, read in their sources (snapshots of 2021 to 2026). Some watch everything in AWS and KMS only among it, some are made for other
things and were read for how they are built; a small number says nothing about what they are worth there. The list is
what all of them together have, or lack, and kms-monitor was built along it: no wonder that it has the most.

*Has it*: it comes along. *In part*: some cases of it, or only a sample. *Could*: its users could write it in the system's own rules. Who is
in none of the three does not have it, or it is nothing to ask of such a system. Cell by cell: [peers.csv](../tests/peers.csv).

"""

# By the row of the survey: `detector`, `detector: case case ...` (of tests/events/DETECTOR/fires), or
# a path of this repository, with `: test` behind it.
HERE: dict[str, tuple[str, ...]] = {}


def here(table: str, rows: dict[str, str]) -> None:
    for feature, pointers in rows.items():
        HERE[f"{table} {feature}"] = tuple(one.strip() for one in pointers.split(";"))


here(
    "A",
    {
        "`DisableKey` success": "key_disabled: success old_record_without_response bare_id",
        "`DisableKey` denied / failed (attempt)": "key_disabled: denied alias_is_refused",
        "`ScheduleKeyDeletion` success": "key_deletion_scheduled: default_window seven_days",
        "`ScheduleKeyDeletion` denied (attempt)": "key_deletion_scheduled: "
        "denied_without_parameters twice alias_is_refused",
        "explicit short `pendingWindowInDays` (7-10) raises severity": "key_deletion_scheduled: "
        "seven_days",
        "`PendingReplicaDeletion` (multi-Region primary, no deletionDate) handled": "key_deletion_"
        "scheduled: primary_with_replicas primary_with_known_replicas replica",
        "`CancelKeyDeletion` / `EnableKey` by someone else closes the incident / updates state": "key_"
        "enabled; key_deletion_cancelled; key_right_again; tests/journey/test_incidents.py; tests/unit/test_incident.py",
        "`DisableKeyRotation`": "rotation_disabled",
        "`EnableKeyRotation` with changed period / `RotateKeyOnDemand`": "rotation_period_changed; "
        "rotated_on_demand",
        "`PutKeyPolicy` any success": "key_policy_changed: ordinary",
        "`PutKeyPolicy` makes key public": "key_policy_changed: public public_through_a_service "
        "not_principal public_metadata",
        "`PutKeyPolicy` grants a foreign account": "key_policy_changed: foreign_account "
        "foreign_account_by_condition foreign_role foreign_organization",
        "`PutKeyPolicy` with `bypassPolicyLockoutSafetyCheck`": "key_policy_changed: bypassed",
        "`PutKeyPolicy` drops the account-root / admin statement": "key_policy_changed: account_dropped "
        "account_missing_without_baseline administrator_dropped nobody_rules",
        "`PutKeyPolicy` semantic diff against last-known-good policy": "key_policy_changed: "
        "administrator_under_a_condition as_it_should_be_again; tests/unit/test_key_policy.py",
        "`PutKeyPolicy` that removes the **responder's own** rights": "key_policy_changed: we_are_denied "
        "we_are_dropped we_are_not_spared",
        "`PutKeyPolicy` on a key already pending deletion": "key_policy_changed: pending_deletion "
        "deletion_cancelled_before deletion_refused_before",
        "`CreateKey` public policy": "key_created: used_by_everybody ruled_by_everybody foreign_account",
        "`CreateKey` any": "key_created: default_policy own_policy replica",
        "`CreateKey` Origin EXTERNAL / bypass flag / volume": "key_created: imported_material bypassed "
        "custom_key_store external_key_store; many_keys",
        "`ImportKeyMaterial`": "material_imported; import_prepared",
        "`DeleteImportedKeyMaterial`": "imported_material_deleted",
        "imported material with `validTo` / about to expire": "material_imported; "
        "imported_material_expiring; tests/journey/test_sweep.py",
        "`DeleteExpiredKeyMaterial` / native “KMS Imported Key Material Expiration”": "imported_material"
        "_expired",
        "`DeleteKey` (AwsServiceEvent) / native “KMS CMK Deletion”": "key_deleted; "
        "tests/unit/test_told_once.py",
        "`CreateGrant` to outsider": "grant_created",
        "`RevokeGrant` / `RetireGrant`": "grant_revoked; grant_retired",
        "`UpdateAlias` re-pointed to another key": "alias_repointed; alias_created",
        "`DeleteAlias` (KMS)": "alias_deleted",
        "`UpdatePrimaryRegion` / `ReplicateKey` / replica deletion": "primary_region_changed; "
        "key_replicated; key_deletion_scheduled: replica",
        "`DisconnectCustomKeyStore` / `DeleteCustomKeyStore` / `UpdateCustomKeyStore` (CloudHSM/XKS)": ""
        "custom_key_store_changed: disconnected disconnected_with_keys deleted updated",
        "`TagResource`/`UntagResource` on a protected key (protection-tag removal, ABAC)": "protection_"
        "tag_removed",
        "`UpdateKeyDescription`": "key_description_changed",
        "unusual `Decrypt`/`Encrypt`/`GenerateDataKey*` use": "new_key_user",
        "crypto call **failing because** key disabled/pending (DisabledException, "
        "KMSInvalidStateException)": "unusable_key_used",
        "downstream failure evidence (EC2 `Client.CustomerKeyHasBeenRevoked`, RDS "
        "`inaccessible-encryption-credentials`)": "downstream_failure: attach_revoked rds_failing rds_lost "
        "start_database",
        "`DisableEbsEncryptionByDefault`": "ebs_encryption_changed",
        "`ModifyEbsDefaultKmsKeyId`/`ResetEbsDefaultKmsKeyId`": "ebs_encryption_changed",
        "S3 objects rewritten under foreign key / SSE-C": "objects_reencrypted; "
        "bucket_encryption_changed",
        "trail's own KMS key changed": "log_encryption_changed; our_key_damaged",
        "eventSource checked (so `DeleteKey`/`CreateAlias` of payment-cryptography, Lambda… do not "
        "match)": "tests/unit/test_catalogue.py: test_it_takes_nothing_for_what_it_is_not",
        "AssumedRole / federated / root / AWSService / cross-account actor rendered correctly": "tests/"
        "unit/test_event.py; tests/unit/test_notification.py",
        "`sharedEventID` de-duplication of cross-account copies": "tests/unit/test_duplicates.py; "
        "tests/journey/test_queues.py",
    },
)
here(
    "B",
    {
        "`StopLogging`/`DeleteTrail`/`UpdateTrail`": "trail_stopped; trail_changed",
        "`PutEventSelectors` turns management events off": "trail_blinded: no_management_events "
        "advanced_data_only only_reads",
        "`PutEventSelectors` with `ExcludeManagementEventSources: kms.amazonaws.com` (P = fires on any "
        "PutEventSelectors or prose only; nobody names the KMS exclusion)": "trail_blinded: kms_excluded "
        "api_spelling only_in_the_response; tests/unit/test_trail_sight.py",
        "same via **advanced** event selectors (`eventSource NotEquals kms…`, readOnly)": "trail_blinded: "
        "advanced_not_kms advanced_read_only advanced_some_names advanced_one_actor",
        "EventBridge `DisableRule`/`DeleteRule`": "rule_disabled",
        "EventBridge `RemoveTargets`/`PutRule` pattern narrowed/`PutTargets`": "rule_targets_changed; "
        "rule_narrowed",
        "SQS `PurgeQueue`": "queue_emptied",
        "SQS `DeleteQueue`, `RemovePermission`": "queue_emptied; queue_changed: permission_removed",
        "SQS `SetQueueAttributes` (public policy, DLQ removed, encryption off)": "queue_changed: public "
        "no_dead_letters not_encrypted a_key nobody_may_send",
        "SNS `DeleteTopic`/`Unsubscribe`/`SetSubscriptionAttributes` (filter policy)": "topic_changed",
        "queue's / topic's own CMK disabled (self-dependency)": "our_key_damaged; sight_depends_on_key; "
        "tests/journey/test_inventory.py",
        "responder role/policy detached, trust changed, boundary or SCP added": "our_rights_changed: "
        "detached inline_deleted trust_for_nobody boundary_put; service_control_policy_changed",
        "own stack / deployment deleted": "deployment_stopped",
        "Config recorder / GuardDuty / Security Hub stopped": "config_recorder_stopped; guard_service_off",
        "“no events for N minutes” alarm": "place_silent; deploy/prometheus/kms-monitor.rules.yaml: "
        "KmsMonitorNoEvents",
        "active end-to-end canary (synthetic KMS event, per account and region)": "canary_lost; "
        "tests/journey/test_canary.py",
        "queue age / depth / DLQ alarm shipped": "deploy/prometheus/kms-monitor.rules.yaml: "
        "KmsMonitorLagging; deploy/prometheus/kms-monitor.test.yaml",
        "account/region with no working trail or rule found by inventory": "place_unwatched; "
        "tests/journey/test_inventory.py",
    },
)
here(
    "C",
    {
        "N distinct keys by one actor in window": "many_keys; tests/journey/test_windows.py",
        "Disable→Schedule (or policy→schedule) ordered sequence": "deletion_after_preparation; "
        "blinding_then_damage; denied_then_success",
        "generic threshold / correlation engine present": "docs/plugins.md; tests/unit/test_windows.py; "
        "tests/unit/test_over_time.py",
        "first-time actor / new source for key-admin calls": "new_administrator",
        "knows the key's state **before** the event": "tests/unit/test_restore_key.py: "
        "test_the_key_goes_back_to_its_prior_state",
        "out-of-order / late / duplicate event tolerant": "tests/journey/test_order.py; "
        "tests/unit/test_over_time.py",
        "key inventory baseline and drift check": "key_drifted; key_found_bad; key_found_open; key_otherwise; key_changed; "
        "tests/journey/test_sweep.py",
        "deadline tracking per pending key": "deletion_deadline_near",
        "key still in use while pending/disabled (evidence)": "unusable_key_used; downstream_failure",
        "tug-of-war (same key re-disabled after repair)": "key_broken_again",
        "related multi-Region keys considered": "key_deletion_scheduled: replica "
        "primary_with_known_replicas; key_deleted",
        "approved-change / ticket correlation": "tests/journey/test_approvals.py; "
        "tests/unit/test_approval.py; docs/approvals.md",
    },
)


def rows() -> list[dict[str, str]]:
    with SURVEY.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pointers(row: dict[str, str]) -> tuple[str, ...]:
    return HERE[f"{row['table']} {row['feature']}"]


def link(pointer: str) -> str:
    """One pointer as Markdown, seen from docs/."""
    place, _, inside = pointer.partition(":")
    if place == "PART":
        return f"(**P**: {inside.strip()})"
    if "/" in place:
        name = place.rpartition("/")[2]
        return f"[{name}](../{place}){inside and f' {inside.strip()}'}".rstrip()
    events = f"../tests/events/{place}"
    cases = [f"[{case}]({events}/fires/{case}.json)" for case in inside.split()]
    shown = ", ".join(cases) or f"[cases]({events})"
    off = " (off by default)" if plugins.load("detectors", place).about.quiet else ""
    return f"[`{place}`](detectors.md#{place}){off}: {shown}"


def targets(pointer: str) -> list[Path]:
    """The files that a pointer needs."""
    place, _, inside = pointer.partition(":")
    if place == "PART":
        return []
    if "/" in place:
        return [ROOT / place]
    events = ROOT / "tests" / "events" / place
    return [events / "silent", *(events / "fires" / f"{case}.json" for case in inside.split())]


def ours(row: dict[str, str]) -> str:
    """Y or P: whether kms-monitor has it whole or in part."""
    return "P" if any(one.startswith("PART") for one in pointers(row)) else "Y"


def summary(survey: list[dict[str, str]]) -> list[str]:
    """A row for each system, those that have most first."""
    answers = {"**kms-monitor**": [ours(row) for row in survey]}
    for code, name in SYSTEMS.items():
        answers[f"{code} {name}"] = [row[code] for row in survey]
    lines = [
        f"## In short\n\nOf {len(survey)} things that a guard of KMS keys may notice or do:\n",
        "| system | has | in part | could |",
        "|---|--:|--:|--:|",
    ]
    ranked = sorted(answers.items(), key=lambda one: (-one[1].count("Y"), -one[1].count("P")))
    for name, given in ranked:
        lines.append(f"| {name} | {' | '.join(str(given.count(one)) for one in 'YPu')} |")
    return lines


def page() -> str:
    survey = rows()
    parts = [HEAD + "\n".join([*summary(survey), ""])]
    for table, title in TABLES.items():
        lines = ["| what | has it | in part | could | kms-monitor |", "|---|---|---|---|---|"]
        for row in survey:
            if row["table"] == table:
                who = [" ".join(code for code in SYSTEMS if row[code] == one) for one in "YPu"]
                mine = ["**Y**"] if ours(row) == "Y" else []
                cells = [row["feature"], *who, " ".join([*mine, *map(link, pointers(row))])]
                lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join([f"## {title}", "", *lines, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
