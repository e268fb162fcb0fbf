"""Accounts, stores and replicas: what it needs, and what it is."""

from typing import Any

from deploy.grafana.panels import (
    GREEN,
    LESS_IS_BAD,
    MORE_IS_BAD,
    OURS,
    PLACE,
    RED,
    age,
    board,
    increase,
    lines,
    number,
    quantile,
    rate,
    rows,
    shared,
)


def process(metric: str) -> str:
    """A metric of the process, of ours alone: every program has one of that name."""
    return f"{metric}{{{OURS}}} and on (job, instance) kms_monitor_build_info{{{OURS}}}"


def of_process(function: str, metric: str) -> str:
    """The same, of how it moves within each step."""
    moved = f"{function}({metric}{{{OURS}}}[$__rate_interval])"
    return f"{moved} and on (job, instance) kms_monitor_build_info{{{OURS}}}"


def services() -> Any:
    return board(
        "kms-monitor-services",
        "kms-monitor / Accounts, stores, replicas",
        "The accounts it guards, the store it remembers by, the replicas that share the work, the process itself.",
        {
            "Accounts": [
                number(
                    "Guarded accounts",
                    "By the settings and by the organization.",
                    shared("guarded_accounts", over="source"),
                    steps=LESS_IS_BAD,
                    runbooks=["KmsMonitorAccountsLeft"],
                ),
                number(
                    "Guarded places",
                    "Pairs of account and Region.",
                    shared("guarded_places"),
                    steps=LESS_IS_BAD,
                ),
                number(
                    "Organization answers",
                    "Yes where no organization is named, too.",
                    f"min(kms_monitor_organization_up{{{OURS}}})",
                    "bool_yes_no",
                    LESS_IS_BAD,
                    runbooks=["KmsMonitorOrganizationStale"],
                ),
                number(
                    "Oldest sweep",
                    "The longest since a place was looked at whole. Good is below two intervals (7200 s).",
                    f"max({age('last_sweep', 'account, region')})",
                    "s",
                    ((None, GREEN), (7200.0, RED)),
                    runbooks=["KmsMonitorSweepLate"],
                ),
                number(
                    "Sight that is not right",
                    "Trails, rules, queues and topics; only with `restore_sight`. Good is none.",
                    shared("sight_resources", also='found!="right"', over="found"),
                    steps=MORE_IS_BAD,
                    runbooks=["KmsMonitorSightWorse"],
                ),
                number(
                    "Clients for AWS",
                    "Open ones, of all replicas.",
                    f"sum(kms_monitor_aws_clients{{{OURS}}})",
                ),
                lines(
                    "Since the last sweep",
                    "By account and Region: a saw whose teeth are the interval.",
                    [age("last_sweep", "account, region")],
                    "s",
                    runbooks=["KmsMonitorSweepLate"],
                ),
                lines(
                    "Since the last event",
                    "By account and Region.",
                    [age("last_event", "account, region")],
                    "s",
                    runbooks=["KmsMonitorNoEvents"],
                ),
                lines(
                    "Since the last canary",
                    "By account and Region; only where there is one.",
                    [age("last_canary", "account, region")],
                    "s",
                    runbooks=["KmsMonitorCanaryLost"],
                ),
                lines(
                    "One sweep (p95)",
                    "Of an account and Region.",
                    [quantile(0.95, "sweep_seconds", "account, region", PLACE)],
                    "s",
                ),
                lines(
                    "Sight",
                    "Trails, rules, queues and topics by how the last look found them.",
                    [shared("sight_resources", "found")],
                    stacked=True,
                    runbooks=["KmsMonitorSightWorse"],
                ),
                lines(
                    "AWS calls that failed",
                    "By service and error code.",
                    [increase("client_errors_total", "service, error")],
                    stacked=True,
                ),
                lines(
                    "AWS calls that were refused",
                    "By service, because rights or credentials are missing. Good is none.",
                    [increase("client_denials_total", "service")],
                    stacked=True,
                    runbooks=["KmsMonitorRightsMissing"],
                ),
                lines(
                    "Accounts that joined or left",
                    "While the daemon ran.",
                    [increase("guarded_account_changes_total", "change")],
                    runbooks=["KmsMonitorAccountsLeft"],
                ),
                lines(
                    "Sessions made anew",
                    "AWS refused them before their time.",
                    [(increase("credentials_renewed_total"), "renewed")],
                ),
            ],
            "Store": [
                lines(
                    "Calls to the store that failed",
                    "Good is none: repairs go on, uncounted.",
                    [increase("store_errors_total", "call")],
                    stacked=True,
                    runbooks=["KmsMonitorStoreFailing"],
                ),
                lines(
                    "Calls to the DynamoDB table (p95)",
                    "With their retries. Only with the store `dynamodb`.",
                    [quantile(0.95, "table_call_seconds", "call")],
                    "s",
                ),
                lines(
                    "Entries of the action log",
                    "By what was done.",
                    [f"{increase('action_log_entries_total', 'deed')} > 0"],
                    stacked=True,
                ),
                lines(
                    "Newest entry of the action log",
                    "It never falls: else somebody cut the log.",
                    [(f"max(kms_monitor_action_log_last_number{{{OURS}}})", "number")],
                    runbooks=["KmsMonitorActionLogTampered"],
                ),
                lines(
                    "Entries that wait or are lost",
                    "While the store is away. Good is none.",
                    [
                        (f"sum(kms_monitor_action_log_waiting_entries{{{OURS}}})", "wait"),
                        (increase("action_log_lost_entries_total"), "lost"),
                    ],
                    runbooks=["KmsMonitorActionLogIncomplete"],
                ),
                lines(
                    "Faults of the action log",
                    "What audits found wrong. Good is none.",
                    [(f"max(kms_monitor_action_log_faults{{{OURS}}})", "faults")],
                    runbooks=["KmsMonitorActionLogTampered"],
                ),
            ],
            "Replicas": [
                lines(
                    "Replicas that lead",
                    "Always one of those that share a store.",
                    [f"sum by (cluster, job) (kms_monitor_leader{{{OURS}}})"],
                    runbooks=["KmsMonitorNoLeader"],
                ),
                lines(
                    "Changes of leadership and leases taken over",
                    "Seldom, but for restarts.",
                    [
                        (increase("leaderships_total"), "leaderships"),
                        (increase("lease_takeovers_total"), "leases taken over"),
                    ],
                ),
                lines(
                    "Since what others noted was read",
                    "By replica. Good is seconds.",
                    [age("last_refresh", "instance", OURS)],
                    "s",
                    runbooks=["KmsMonitorStoreFailing"],
                ),
            ],
            "Settings and plugins": [
                number(
                    "Settings are those in the file",
                    "No: the changed file was refused, and the log says which line.",
                    f"min(kms_monitor_settings_last_reload_successful{{{OURS}}})",
                    "bool_yes_no",
                    LESS_IS_BAD,
                    runbooks=["KmsMonitorSettingsRefused"],
                ),
                number(
                    "Settings taken",
                    "How long ago, at the start or since.",
                    age("settings_last_reload", where=OURS),
                    "s",
                ),
                number(
                    "Settings that wait for a restart",
                    "Changed in the file, and not taken while it runs.",
                    f"max(kms_monitor_settings_waiting_for_restart{{{OURS}}})",
                    steps=MORE_IS_BAD,
                ),
                number(
                    "Broken plugins",
                    "They were to run and cannot. Good is none.",
                    f"sum(max by (kind, name) (kms_monitor_broken_plugins{{{OURS}}})) or vector(0)",
                    steps=MORE_IS_BAD,
                    runbooks=["KmsMonitorPluginBroken"],
                ),
                number(
                    "Suppressions",
                    "That have not run out.",
                    f'max(kms_monitor_suppressions{{state="active",{OURS}}})',
                ),
                number(
                    "Plugins that run",
                    "Detectors and responders.",
                    f"count(count by (kind, name) (kms_monitor_plugin_info{{{OURS}}}))",
                    steps=LESS_IS_BAD,
                ),
                lines(
                    "Changed settings files",
                    "By what became of them.",
                    [increase("settings_reloads_total", "outcome")],
                    stacked=True,
                ),
                rows(
                    "Versions",
                    "Different ones only while a new one is rolled out.",
                    f"count by (version, python) (kms_monitor_build_info{{{OURS}}})",
                    columns={"version": "version", "python": "Python"},
                ),
            ],
            "Process": [
                lines(
                    "CPU",
                    "Of one core, by replica.",
                    [(of_process("rate", "process_cpu_seconds_total"), "{{instance}}")],
                    "percentunit",
                ),
                lines(
                    "Memory",
                    "Resident, by replica. About 100 MB, and flat.",
                    [(process("process_resident_memory_bytes"), "{{instance}}")],
                    "bytes",
                ),
                lines(
                    "Open files",
                    "By replica. Flat.",
                    [(process("process_open_fds"), "{{instance}}")],
                ),
                lines(
                    "Starts",
                    "Of one and the same replica, within each step.",
                    [(of_process("changes", "process_start_time_seconds"), "{{instance}}")],
                    runbooks=["KmsMonitorCrashLooping"],
                ),
                lines(
                    "Messages received, by replica",
                    "How the work is shared.",
                    [rate("messages_received_total", "instance")],
                    "ops",
                ),
            ],
        },
    )
