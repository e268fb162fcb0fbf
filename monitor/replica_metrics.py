"""Metrics of what several replicas share: the table, its leases, and who leads. See `monitor.metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

TABLE_CALLS = (
    "DeleteItem",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "PutItem",
    "Query",
    "TransactWriteItems",
    "UpdateItem",
)
"""What `monitor.stores.dynamodb` calls."""
TABLE_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ReplicaMetrics:
    """Born at zero, all of them: replicas that do not lead have to be seen as well."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.leader = Gauge(
            prefix + "leader",
            "1 while this replica is the one that sweeps and sends canaries. Without other replicas: 1.",
            registry=registry,
        )
        self.leaderships = Counter(
            prefix + "leaderships",
            "How often this replica became the leader.",
            registry=registry,
        )
        self.takeovers = Counter(
            prefix + "lease_takeovers",
            "Leases taken over from a replica that is dead, before they ran out.",
            registry=registry,
        )
        self.last_refresh = Gauge(
            prefix + "last_refresh_timestamp_seconds",
            "When this replica last read what the others noted and accepted.",
            registry=registry,
        )
        self.table_seconds = Histogram(
            prefix + "table_call_seconds",
            "Calls to the DynamoDB table, with their retries.",
            ["call"],
            buckets=TABLE_BUCKETS,
            registry=registry,
        )
        for call in TABLE_CALLS:
            self.table_seconds.labels(call)
