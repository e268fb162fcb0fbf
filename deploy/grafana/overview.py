"""For whoever is on call: does it guard, are the keys safe, what happens."""

from typing import Any

from deploy.grafana.panels import (
    GREEN,
    LESS_IS_BAD,
    MORE_IS_BAD,
    ORANGE,
    OURS,
    PLACE,
    RED,
    age,
    board,
    increase,
    lines,
    number,
    quantile,
    quantiles,
    rows,
    shared,
    within,
)

UNSAFE_COLUMNS = {
    "account": "account",
    "region": "Region",
    "key_id": "key",
    "incident": "incident",
    "severity": "severity",
}


def unsafe_keys(width: int) -> Any:
    return rows(
        "Keys that are not as they should be",
        "One line for each key with an open incident: `kms-monitor incidents show INCIDENT` says all about it. Empty is good.",
        f"time() - max by (account, region, key_id, incident, severity) (kms_monitor_key_unsafe_since_timestamp_seconds{{{PLACE}}})",
        "s",
        columns=UNSAFE_COLUMNS,
        runbooks=["KmsMonitorKeyUnsafe"],
        width=width,
    )


def overview() -> Any:
    return board(
        "kms-monitor-overview",
        "kms-monitor / Overview",
        "Whether it guards, whether the keys are safe, and what happens. Start here.",
        {
            "Are the keys safe?": [
                number(
                    "Keys unsafe now",
                    "Keys with an open incident. Good is none, or none for longer than a minute.",
                    shared(
                        "open_incidents", also='severity=~"medium|high|critical"', over="severity"
                    ),
                    steps=MORE_IS_BAD,
                    runbooks=["KmsMonitorKeyUnsafe", "KmsMonitorAttackInProgress"],
                ),
                number(
                    "Contested keys",
                    "Keys that somebody takes away again and again; only their deletion is still undone. Good is none.",
                    shared("contested_keys"),
                    steps=MORE_IS_BAD,
                    runbooks=["KmsMonitorKeyContested"],
                ),
                number(
                    "Next key gone for good in",
                    "How long until the first scheduled deletion that nobody cancelled. Good is no such key.",
                    f"min(kms_monitor_key_deletion_deadline_timestamp_seconds{{{PLACE}}}) - time()",
                    "s",
                    ((None, RED), (259200.0, ORANGE)),
                    runbooks=["KmsMonitorDeletionDeadlineNear"],
                    none="no key",
                ),
                number(
                    "Repairs",
                    "What was put back in the time shown.",
                    within(
                        "actions_total", 'responder=~"restore_key|restore_sight",outcome="done"'
                    ),
                ),
                number(
                    "Repairs that failed",
                    "Denied, refused or broken in the time shown. Good is none.",
                    within(
                        "actions_total",
                        'responder=~"restore_key|restore_sight",outcome=~"denied|failed|refused"',
                    ),
                    steps=MORE_IS_BAD,
                    runbooks=["KmsMonitorRepairFailed"],
                ),
                number(
                    "Kill switch",
                    "Yes: nothing is written to any account, on purpose.",
                    f"max(kms_monitor_writes_stopped{{{OURS}}})",
                    "bool_yes_no",
                    MORE_IS_BAD,
                    runbooks=["KmsMonitorWritesStopped"],
                ),
            ],
            "Does it guard?": [
                number(
                    "Replicas",
                    "Replicas that Prometheus hears of. Fewer than you run is bad.",
                    f"count(kms_monitor_build_info{{{OURS}}})",
                    steps=LESS_IS_BAD,
                    runbooks=["KmsMonitorAbsent", "KmsMonitorReplicaMissing"],
                    none="0",
                ),
                number(
                    "Queues can be received from",
                    "Whether the last receive call of every replica succeeded.",
                    f"min(kms_monitor_source_up{{{OURS}}})",
                    "bool_yes_no",
                    LESS_IS_BAD,
                    runbooks=["KmsMonitorQueueUnreachable"],
                ),
                number(
                    "Since the last event",
                    "From the accounts and Regions chosen. A quiet account is silent for hours.",
                    age("last_event"),
                    "s",
                    ((None, GREEN), (21600.0, ORANGE)),
                    runbooks=["KmsMonitorNoEvents"],
                ),
                number(
                    "Oldest canary",
                    "Of all places with a canary, the longest since one came back. Good is below three intervals (900 s).",
                    f"max({age('last_canary', 'account, region')})",
                    "s",
                    ((None, GREEN), (900.0, RED)),
                    runbooks=["KmsMonitorCanaryLost"],
                    none="none has come",
                ),
                number(
                    "Wait in the queue (p95)",
                    "Sent to the queue until received: our half of the delay. Good is below a few seconds.",
                    quantile(0.95, "message_age_seconds"),
                    "s",
                    ((None, GREEN), (60.0, RED)),
                    runbooks=["KmsMonitorLagging"],
                ),
                number(
                    "Late events of the last hour",
                    "The share that came later than 120 s after eventTime. The objective allows 1 %.",
                    f"max(kms_monitor:events_late:ratio_rate1h{{{OURS}}})",
                    "percentunit",
                    ((None, GREEN), (0.01, ORANGE), (0.144, RED)),
                    runbooks=["KmsMonitorEventsLateFast", "KmsMonitorEventsLateSlow"],
                ),
            ],
            "What is wrong": [
                rows(
                    "Alerts that fire",
                    "Everything but the watchdog. The runbooks are linked above. Empty is good.",
                    f'ALERTS{{alertname=~"KmsMonitor.*",alertname!="KmsMonitorWatchdog",alertstate="firing",{OURS}}}',
                    columns={
                        "alertname": "alert",
                        "severity": "severity",
                        "account": "account",
                        "key_id": "key",
                        "detector": "detector",
                    },
                ),
                unsafe_keys(12),
            ],
            "What happens": [
                lines(
                    "Findings by severity",
                    "What the detectors saw. Notices are `info`; attacks are `high` and `critical`.",
                    [increase("findings_total", "severity")],
                    stacked=True,
                    runbooks=["KmsMonitorAttackInProgress"],
                ),
                lines(
                    "How long keys were unsafe",
                    "eventTime until read back as it should be, AWS's delay included. Good is CloudTrail's delay and a second or two.",
                    quantiles("event_to_safe_seconds"),
                    "s",
                ),
                lines(
                    "Actions by outcome",
                    "`done` and `already` are good, `would` is mode observe.",
                    [increase("actions_total", "outcome")],
                    stacked=True,
                    runbooks=["KmsMonitorRepairFailed", "KmsMonitorActionsFailing"],
                ),
            ],
        },
    )
