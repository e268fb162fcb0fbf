"""Every metric of the daemon: declared here, or in a module that is named for it; born at zero.

found_metrics     sweep, canaries, and the looks at our sight
incident_metrics  incidents and what they show: `Metrics.incidents`
log_metrics       the action log: `Metrics.action_log`
material_metrics  escrows and imported material: `Metrics.material`
settings_metrics  settings that change, rules for response: `Metrics.settings`
account_metrics   guarded accounts, and clients: `Metrics.accounts`
channel_metrics   responders that tell by HTTP: `Metrics.channels`
config_metrics    AWS Config, its rule and its notifications: `Metrics.config`
mqtt_metrics      the broker: `Metrics.mqtt`
replica_metrics   the table, its leases, the leader: `Metrics.replicas`
store_metrics     calls to the store that failed: `Metrics.store`

Names follow Prometheus: base units, `_total` for counters, `_seconds` for times. Label values come
from closed lists or from the settings, never from a message: no key id, ARN or principal, but for
keys with an open incident. What a message names outside those lists is counted as `other`.
"""

from importlib.metadata import version
from platform import python_version
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from monitor.account_metrics import AccountMetrics
from monitor.approval import State
from monitor.channel_metrics import ChannelMetrics
from monitor.config_metrics import ConfigMetrics
from monitor.decision import Budget, Outcome, Reason
from monitor.delivery import Disposition
from monitor.errors import Flaw
from monitor.finding import Severity
from monitor.found_metrics import AGE_BUCKETS, WORK_BUCKETS, FoundMetrics
from monitor.incident_metrics import IncidentMetrics
from monitor.key import KeyState
from monitor.log_metrics import LogMetrics
from monitor.material_metrics import MaterialMetrics
from monitor.mqtt_metrics import MqttMetrics
from monitor.replica_metrics import ReplicaMetrics
from monitor.settings_metrics import SettingsMetrics
from monitor.store_metrics import StoreMetrics

OTHER: Final = "other"


class Metrics(FoundMetrics):
    """The metrics, on a registry of their own so that two daemons can live in one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        if registry is None:
            ProcessCollector(registry=r)
            PlatformCollector(registry=r)
        p = "kms_monitor_"
        Info(p + "build", "Version of kms-monitor and of Python.", registry=r).info(
            {"version": version("kms-monitor"), "python": python_version()}
        )

        # -- the source
        self.deliveries = Counter(
            p + "deliveries",
            "Messages settled: done and deleted, to come again, or unreadable.",
            ["source", "disposition"],
            registry=r,
        )
        self.received = Counter(
            p + "messages_received", "Messages received from a queue.", ["source"], registry=r
        )
        self.receive_errors = Counter(
            p + "receive_errors",
            "Receive calls that failed, by AWS's error code.",
            ["source", "error"],
            registry=r,
        )
        self.settle_errors = Counter(
            p + "settle_errors",
            "Messages whose deletion or release AWS refused.",
            ["source", "call"],
            registry=r,
        )
        self.heartbeats = Counter(
            p + "visibility_extensions",
            "Visibility time-outs extended for messages still being worked on.",
            ["source", "result"],
            registry=r,
        )
        self.in_flight = Gauge(
            p + "deliveries_in_flight", "Messages being worked on.", ["source"], registry=r
        )
        self.source_up = Gauge(
            p + "source_up", "1 while the last receive call succeeded.", ["source"], registry=r
        )
        self.queue_messages = Gauge(
            p + "queue_messages",
            "Messages in the queue, as SQS estimates them.",
            ["source", "state"],
            registry=r,
        )
        self.message_age = Histogram(
            p + "message_age_seconds",
            "Sent to the queue -> received: our half of the delay.",
            ["source"],
            buckets=AGE_BUCKETS,
            registry=r,
        )
        self.receive_count = Histogram(
            p + "message_receive_count",
            "How often a message had been received when it was settled.",
            ["source"],
            buckets=(1, 2, 3, 5, 10),
            registry=r,
        )
        self.paused = Gauge(
            p + "consumer_paused",
            "1 while the consumer takes nothing because most deliveries were REJECTed.",
            registry=r,
        )

        # -- the journey
        self.events = Counter(
            p + "events",
            "Events read, by what became of them.",
            ["source", "event_name", "fate"],
            registry=r,
        )
        self.log_objects = Counter(
            p + "log_objects",
            "S3 objects that messages pointed at, by kind and by what became of them.",
            ["kind", "fate"],
            registry=r,
        )
        self.digest_problems = Counter(
            p + "digest_problems",
            "What CloudTrail's digests brought to light, with `verify_digests`.",
            ["problem"],
            registry=r,
        )
        self.log_bytes = Counter(
            p + "log_unpacked_bytes", "Bytes of log files, unpacked and searched.", registry=r
        )
        self.unreadable = Counter(
            p + "unreadable",
            "Bodies that no decoder understands, by the reason; they become dead letters.",
            ["source", "reason"],
            registry=r,
        )
        self.event_age = Histogram(
            p + "event_age_seconds",
            "CloudTrail's eventTime -> received, for events that a detector looks at.",
            ["source"],
            buckets=AGE_BUCKETS,
            registry=r,
        )
        self.last_event = Gauge(
            p + "last_event_timestamp_seconds",
            "When the last event of this account and Region was received.",
            ["account", "region"],
            registry=r,
        )
        self.findings = Counter(
            p + "findings",
            "What detectors saw, by its severity.",
            ["detector", "severity"],
            registry=r,
        )
        self.detector_errors = Counter(
            p + "detector_errors", "Events on which a detector broke.", ["detector"], registry=r
        )
        self.suppressed = Counter(
            p + "suppressed",
            "Findings that nobody was told of because the settings say so.",
            ["detector"],
            registry=r,
        )
        self.suppressions = Gauge(
            p + "suppressions",
            "Suppressions in the settings, by whether they had run out when the settings were taken.",
            ["state"],
            registry=r,
        )
        self.broken_plugins = Gauge(
            p + "broken_plugins",
            "1 for each plugin that was to run and cannot: the log says why.",
            ["kind", "name"],
            registry=r,
        )
        self.plugin_info = Gauge(
            p + "plugin_info",
            "1 for each plugin that runs, with the distribution or file that it comes from.",
            ["kind", "name", "origin"],
            registry=r,
        )
        self.decisions = Counter(
            p + "decisions", "Decisions, by the reason for them.", ["reason"], registry=r
        )
        self.actions = Counter(
            p + "actions",
            "What responders did, by what became of it.",
            ["responder", "outcome"],
            registry=r,
        )
        self.repair_calls = Counter(
            p + "repair_calls", "Writing KMS calls that repairs made.", ["call"], registry=r
        )
        self.action_seconds = Histogram(
            p + "action_seconds",
            "How long one action of a responder took.",
            ["responder"],
            buckets=WORK_BUCKETS,
            registry=r,
        )
        self.detect_to_act = Histogram(
            p + "detect_to_act_seconds",
            "Received -> the first writing KMS call sent.",
            buckets=WORK_BUCKETS,
            registry=r,
        )
        self.act_to_verified = Histogram(
            p + "act_to_verified_seconds",
            "The first writing KMS call sent -> read back as it should be.",
            buckets=WORK_BUCKETS,
            registry=r,
        )
        self.event_to_safe = Histogram(
            p + "event_to_safe_seconds",
            "eventTime -> the key read back as it should be: how long it was unsafe.",
            buckets=AGE_BUCKETS,
            registry=r,
        )

        # -- the services
        self.client_errors = Counter(
            p + "client_errors",
            "AWS calls that failed, by AWS's error code.",
            ["service", "error"],
            registry=r,
        )
        self.responder_up = Gauge(
            p + "responder_up",
            "1 while the responder could do its work.",
            ["responder"],
            registry=r,
        )
        self.keys_known = Gauge(
            p + "known_keys",
            "Customer managed keys at the last look at all of them.",
            ["account", "region"],
            registry=r,
        )

        self.declare_own_finds(p)
        self.declare_what_lasts(p)
        for reason in Reason:
            self.decisions.labels(reason.value)
        for state in ("active", "expired"):
            self.suppressions.labels(state)

    def declare_what_lasts(self, p: str) -> None:
        """What the store keeps for people."""
        self.incidents = IncidentMetrics(self.registry, p)
        self.action_log = LogMetrics(self.registry, p)
        self.material = MaterialMetrics(self.registry, p)
        self.settings = SettingsMetrics(self.registry, p)
        self.accounts = AccountMetrics(self.registry, p)
        self.channels = ChannelMetrics(self.registry, p)
        self.config = ConfigMetrics(self.registry, p)
        self.replicas = ReplicaMetrics(self.registry, p)
        self.store = StoreMetrics(self.registry, p)
        self.mqtt = MqttMetrics(self.registry, p)
        self.approvals = Gauge(
            p + "approvals",
            "Approvals that the store has, by state.",
            ["state"],
            registry=self.registry,
        )
        self.budget_refusals = Counter(
            p + "budget_refusals",
            "What was not done because a budget was used up: see `limits` in the settings.",
            ["budget"],
            registry=self.registry,
        )
        for one in State:
            self.approvals.labels(one.value)
        for budget in Budget:
            self.budget_refusals.labels(budget.value)

    def born(
        self,
        *,
        sources: list[str] | None = None,
        detectors: list[str] | None = None,
        responders: list[str] | None = None,
        places: list[tuple[str, str]] | None = None,
        escrows: list[str] | None = None,
    ) -> None:
        """Create the children of what the settings name, so that counters start at zero.

        `places` are the allowed pairs of account and Region.
        """
        for source in sources or []:
            for disposition in Disposition:
                self.deliveries.labels(source, disposition.value)
            for flaw in get_args(Flaw):
                self.unreadable.labels(source, flaw)
            for call in ("delete", "hide"):
                self.settle_errors.labels(source, call)
            for result in ("ok", "failed"):
                self.heartbeats.labels(source, result)
            self.received.labels(source)
            self.in_flight.labels(source)
            self.source_up.labels(source)
            self.message_age.labels(source)
            self.event_age.labels(source)
        for detector in detectors or []:
            self.detector_errors.labels(detector)
            self.suppressed.labels(detector)
            for severity in Severity:
                self.findings.labels(detector, severity.word)
        for responder in responders or []:
            # Until it says otherwise: one that has had nothing to do yet does not fail.
            self.responder_up.labels(responder).set(1)
            self.channels.fallbacks.labels(responder)
            self.action_seconds.labels(responder)
            for outcome in Outcome:
                self.actions.labels(responder, outcome.value)
        self.material.born(escrows or [], places or [])
        for account, region in places or []:
            self.keys_known.labels(account, region)
            self.last_sweep.labels(account, region)
            self.sweep_seconds.labels(account, region)
            self.missed_by_stream.labels(account, region)
            for state in KeyState:
                self.keys.labels(account, region, state.value)

    def gone(self, places: list[tuple[str, str]]) -> None:
        """Remove the children of places that are guarded no more: their times would look late."""
        swept = (self.keys_known, self.last_sweep, self.sweep_seconds, self.missed_by_stream)
        for place in places:
            for one in (*swept, self.last_event, self.last_canary, self.material.without_escrow):
                one.remove(*place)
            for state in KeyState:
                self.keys.remove(*place, state.value)
