"""Keys and incidents: what was found about keys, what was done about it, and what is left."""

from typing import Any

from deploy.grafana.overview import unsafe_keys
from deploy.grafana.panels import (
    PLACE,
    board,
    heat,
    increase,
    lines,
    quantile,
    quantiles,
    rows,
    shared,
)


def keys() -> Any:
    return board(
        "kms-monitor-keys",
        "kms-monitor / Keys and incidents",
        "What was found about keys, what was done about it, and what is left.",
        {
            "Incidents": [
                unsafe_keys(12),
                rows(
                    "Keys scheduled for deletion",
                    "How long until they are gone for good; only keys with an open incident. Empty is good.",
                    f"max by (account, region, key_id) (kms_monitor_key_deletion_deadline_timestamp_seconds{{{PLACE}}}) - time()",
                    "s",
                    columns={"account": "account", "region": "Region", "key_id": "key"},
                    runbooks=["KmsMonitorDeletionDeadlineNear", "KmsMonitorKeyPendingDeletion"],
                ),
                lines(
                    "Open incidents by severity",
                    "By the highest severity so far. Good is a short bump.",
                    [shared("open_incidents", "severity")],
                    stacked=True,
                    runbooks=["KmsMonitorKeyUnsafe"],
                ),
                lines(
                    "Incidents opened and closed",
                    "Closed by us, or by others who put the key back before us.",
                    [
                        (increase("incidents_opened_total"), "opened"),
                        (increase("incidents_closed_total", "by"), "closed by {{by}}"),
                    ],
                    runbooks=["KmsMonitorKeyDamaged"],
                ),
                lines(
                    "How long incidents last",
                    "eventTime of what opened it until closed.",
                    quantiles("incident_seconds"),
                    "s",
                ),
                lines(
                    "Contested keys",
                    "Put back no more for now. Good is none.",
                    [(shared("contested_keys"), "contested")],
                    runbooks=["KmsMonitorKeyContested"],
                ),
                lines(
                    "Reminders of deletions",
                    "People were told again that a key is about to be deleted for good.",
                    [(increase("deletion_reminders_total"), "reminders")],
                    runbooks=["KmsMonitorDeletionDeadlineNear"],
                ),
                lines(
                    "Evidence",
                    "Parts looked for when an incident opened or became worse. `missing` all the time: a right is missing.",
                    [increase("evidence_parts_total", "part, result")],
                    stacked=True,
                ),
            ],
            "Findings and decisions": [
                lines(
                    "Findings by detector",
                    "The ten that found most.",
                    [f"topk(10, {increase('findings_total', 'detector')} > 0)"],
                    stacked=True,
                ),
                lines(
                    "Decisions by reason",
                    "Why something was done or not. `record_disagrees` and `..._not_allowed` are forged or foreign messages.",
                    [increase("decisions_total", "reason")],
                    stacked=True,
                    runbooks=["KmsMonitorForgedMessages"],
                ),
                lines(
                    "Suppressed findings",
                    "Nobody was told because the settings say so.",
                    [f"topk(10, {increase('suppressed_total', 'detector')})"],
                    stacked=True,
                ),
                lines(
                    "Decisions by rule for response",
                    "Which rule of `response:` decided; only where there are rules.",
                    [increase("response_rule_decisions_total", "rule")],
                    stacked=True,
                ),
                lines(
                    "Approvals by state",
                    "As the store has them.",
                    [shared("approvals", "state")],
                    stacked=True,
                ),
                lines(
                    "Changes in maintenance windows",
                    "They counted as approved; only where there are windows.",
                    [increase("maintenance_changes_total", "window")],
                    stacked=True,
                ),
            ],
            "Repairs": [
                heat(
                    "How long keys were unsafe, each",
                    "eventTime until read back as it should be.",
                    "event_to_safe_seconds",
                ),
                lines(
                    "Our part of it (p95)",
                    "Received until the first writing call, and from there until read back. Good is below a second each.",
                    [
                        (quantile(0.95, "detect_to_act_seconds"), "detect to act"),
                        (quantile(0.95, "act_to_verified_seconds"), "act to verified"),
                    ],
                    "s",
                    width=12,
                ),
                lines(
                    "Writing calls of repairs",
                    "By the call of KMS.",
                    [increase("repair_calls_total", "call")],
                    stacked=True,
                ),
                lines(
                    "Repairs by outcome",
                    "Of keys and of what we see by.",
                    [
                        increase(
                            "actions_total",
                            "responder, outcome",
                            'responder=~"restore_key|restore_sight"',
                        )
                    ],
                    stacked=True,
                    runbooks=["KmsMonitorRepairFailed"],
                ),
                lines(
                    "Not done for want of a budget",
                    "Good is none.",
                    [increase("budget_refusals_total", "budget")],
                    stacked=True,
                    runbooks=["KmsMonitorBudgetUsedUp"],
                ),
            ],
            "All keys": [
                lines(
                    "Keys by state",
                    "At the last look at all of them.",
                    [shared("keys", "state", where=PLACE, over="account, region, state")],
                    stacked=True,
                ),
                lines(
                    "Keys by account and Region",
                    "Customer managed keys at the last look at all of them.",
                    [shared("known_keys", "account, region", where=PLACE)],
                    stacked=True,
                ),
                lines(
                    "Found by the sweep alone",
                    "Keys that were worse than they should be though no message told of it. Good is none.",
                    [increase("missed_by_stream_total", "account, region", where=PLACE)],
                    runbooks=["KmsMonitorMissedByStream"],
                ),
                lines(
                    "Imported keys that no escrow could bring back",
                    "Good is none. Only where there are escrows.",
                    [shared("keys_without_escrow", "account, region", where=PLACE)],
                    runbooks=["KmsMonitorKeysWithoutEscrow"],
                ),
                lines(
                    "Answers of escrows",
                    "Asked for key material. Only where there are escrows.",
                    [increase("escrow_answers_total", "escrow, answer")],
                    stacked=True,
                    runbooks=["KmsMonitorEscrowFailing"],
                ),
                lines(
                    "Imports of key material",
                    "By what became of it. Only where there are escrows.",
                    [increase("material_imports_total", "escrow, outcome")],
                    stacked=True,
                ),
            ],
        },
    )
