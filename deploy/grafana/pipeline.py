"""The way of a message, stop by stop: for whoever asks why it is late or lost."""

from typing import Any

from deploy.grafana.panels import (
    OURS,
    board,
    heat,
    increase,
    lines,
    quantile,
    quantiles,
    rate,
    shared,
)


def pipeline() -> Any:
    return board(
        "kms-monitor-pipeline",
        "kms-monitor / Pipeline",
        "The way of a message, stop by stop: why it is late, or lost.",
        {
            "Delay": [
                heat(
                    "AWS's part and ours: eventTime until received",
                    "CloudTrail, EventBridge and the queue. Minutes are normal for CloudTrail at times.",
                    "event_age_seconds",
                ),
                heat(
                    "Our part: sent to the queue until received",
                    "Good is below a second or two.",
                    "message_age_seconds",
                ),
                lines(
                    "eventTime until received",
                    "Whichever source it came from.",
                    quantiles("event_age_seconds"),
                    "s",
                    runbooks=["KmsMonitorEventsLateFast"],
                ),
                lines(
                    "Late events against the objective",
                    "Shares that came later than 120 s. 1 % is allowed; 14.4 % in an hour or 6 % in six are alerts.",
                    [
                        (f"max(kms_monitor:events_late:ratio_rate{span}{{{OURS}}})", span)
                        for span in ("5m", "1h", "6h")
                    ],
                    "percentunit",
                    runbooks=["KmsMonitorEventsLateFast", "KmsMonitorEventsLateSlow"],
                ),
                lines(
                    "Canaries",
                    "Call until its event was received: the delay of the whole way, where nobody attacks.",
                    quantiles("canary_seconds"),
                    "s",
                    runbooks=["KmsMonitorCanaryLost"],
                ),
            ],
            "Queue": [
                lines(
                    "Messages in the queue",
                    "As SQS says, approximately. `dead_letters` above none is bad.",
                    [shared("queue_messages", "source, state")],
                    runbooks=["KmsMonitorBacklog", "KmsMonitorDeadLetters"],
                ),
                lines(
                    "Messages received",
                    "Each second.",
                    [rate("messages_received_total", "source")],
                    "ops",
                    runbooks=["KmsMonitorNotConsuming"],
                ),
                lines(
                    "Deliveries by disposition",
                    "`done` is deleted, `retry` comes again, `reject` ends as a dead letter. Each second.",
                    [rate("deliveries_total", "disposition")],
                    "ops",
                    stacked=True,
                ),
                lines(
                    "Deliveries being worked on",
                    "At their bound all the time: actions are slow.",
                    [f"sum by (source) (kms_monitor_deliveries_in_flight{{{OURS}}})"],
                ),
                lines(
                    "Messages that had been received before",
                    "Settled at their second receipt or later. Good is none: else something is tried again and again.",
                    [
                        (
                            f"{increase('message_receive_count_count')} - "
                            + increase("message_receive_count_bucket", also='le=~"1(\\\\.0)?"'),
                            "again",
                        )
                    ],
                    runbooks=["KmsMonitorDeadLetters"],
                ),
                lines(
                    "Visibility extended",
                    "For messages that take longer than the queue's time-out.",
                    [increase("visibility_extensions_total", "result")],
                ),
                lines(
                    "Receive calls that failed",
                    "By AWS's error code. Good is none.",
                    [increase("receive_errors_total", "source, error")],
                    runbooks=["KmsMonitorQueueUnreachable"],
                ),
                lines(
                    "Deletions and releases that failed",
                    "Those messages come again; what was done is not done twice.",
                    [increase("settle_errors_total", "source, call")],
                ),
                lines(
                    "Paused",
                    "1 while nothing is taken because most deliveries were rejected.",
                    [(f"max(kms_monitor_consumer_paused{{{OURS}}})", "paused")],
                    "bool_yes_no",
                    runbooks=["KmsMonitorConsumerPaused"],
                ),
            ],
            "Reading and judging": [
                lines(
                    "Events by fate",
                    "`ignored`: no detector looks at it, so the rule could be narrower.",
                    [rate("events_total", "fate")],
                    "ops",
                    stacked=True,
                ),
                lines(
                    "Events by name",
                    "The ten most frequent.",
                    [f"topk(10, {rate('events_total', 'event_name')} > 0)"],
                    "ops",
                    stacked=True,
                ),
                lines(
                    "Bodies that cannot be read",
                    "By reason. Good is none.",
                    [increase("unreadable_total", "source, reason")],
                    stacked=True,
                    runbooks=["KmsMonitorMessagesUnreadable"],
                ),
                lines(
                    "Detectors that broke",
                    "Good is none.",
                    [f"topk(10, {increase('detector_errors_total', 'detector')})"],
                    stacked=True,
                    runbooks=["KmsMonitorDetectorFailing"],
                ),
                lines(
                    "Log files by fate",
                    "Objects of S3 that messages pointed at.",
                    [increase("log_objects_total", "kind, fate")],
                    stacked=True,
                ),
                lines(
                    "Log files, unpacked",
                    "Bytes searched each second.",
                    [(rate("log_unpacked_bytes_total"), "unpacked")],
                    "Bps",
                ),
                lines(
                    "Problems with digests",
                    "With `verify_digests`. Good is none: else somebody changed log files.",
                    [increase("digest_problems_total", "problem")],
                    stacked=True,
                ),
            ],
            "Responders": [
                lines(
                    "Responders that can work",
                    "The worst replica of each. 0: /readyz says why.",
                    [f"min by (responder) (kms_monitor_responder_up{{{OURS}}})"],
                    "bool_yes_no",
                    runbooks=["KmsMonitorResponderDown"],
                ),
                lines(
                    "Actions by responder and outcome",
                    "All of them.",
                    [f"{increase('actions_total', 'responder, outcome')} > 0"],
                    stacked=True,
                    runbooks=["KmsMonitorActionsFailing"],
                ),
                lines(
                    "One action (p95)",
                    "By responder.",
                    [quantile(0.95, "action_seconds", "responder")],
                    "s",
                ),
                lines(
                    "Channels: messages confirmed",
                    "By the service that was told. `digest`: one for many findings, in a storm.",
                    [increase("channel_messages_total", "responder, form")],
                    stacked=True,
                ),
                lines(
                    "Channels: findings in digests",
                    "More came than the channel may send one by one: `per_minute`.",
                    [increase("channel_digested_total", "responder")],
                    stacked=True,
                ),
                lines(
                    "Channels: retries and fallbacks",
                    "A fallback: another responder told, because this one failed.",
                    [
                        (increase("channel_retries_total", "responder"), "{{responder}} retries"),
                        (
                            increase("channel_fallbacks_total", "responder"),
                            "{{responder}} fallbacks",
                        ),
                    ],
                    runbooks=["KmsMonitorChannelFallback"],
                ),
                lines(
                    "MQTT: connected",
                    "0 without the responder `mqtt`, too.",
                    [(f"min(kms_monitor_mqtt_connected{{{OURS}}})", "connected")],
                    "bool_yes_no",
                    runbooks=["KmsMonitorResponderDown"],
                ),
                lines(
                    "MQTT: messages kept",
                    "While the broker is away.",
                    [(f"sum(kms_monitor_mqtt_waiting_messages{{{OURS}}})", "kept")],
                ),
                lines(
                    "MQTT: reconnects and dropped messages",
                    "Dropped ones are lost for who listens by MQTT alone.",
                    [
                        (increase("mqtt_reconnects_total"), "reconnects"),
                        (increase("mqtt_dropped_total"), "dropped"),
                    ],
                    runbooks=["KmsMonitorNotificationsDropped"],
                ),
            ],
            "AWS Config": [
                lines(
                    "Findings from AWS Config",
                    "`known`: CloudTrail told of it before. Many that are `repaired` or `told` mean that it did not.",
                    [increase("config_findings_total", "fate")],
                    stacked=True,
                ),
                lines(
                    "Custom rule: verdicts",
                    "Only where kms-monitor judges as a rule of AWS Config: docs/config-rule.md.",
                    [increase("config_evaluations_total", "compliance")],
                    stacked=True,
                ),
                lines(
                    "Custom rule: no verdict",
                    "Questions that got none, and verdicts that were not taken, by the reason.",
                    [
                        (
                            increase("config_invocations_total", "result", 'result!="judged"'),
                            "no verdict: {{result}}",
                        ),
                        (
                            increase("config_evaluations_failed_total", "reason"),
                            "not taken: {{reason}}",
                        ),
                    ],
                ),
            ],
        },
    )
