"""Metrics of the ways in which people are told. Part of `monitor.metrics`."""

from prometheus_client import CollectorRegistry, Counter


class ChannelMetrics:
    """Beside actions_total and responder_up, which every responder has."""

    def __init__(self, registry: CollectorRegistry, p: str) -> None:
        """`p`: what the names begin with."""
        self.messages = Counter(
            p + "channel_messages",
            "Messages that a channel's service confirmed; digest: one for many findings.",
            ["responder", "form"],
            registry=registry,
        )
        self.digested = Counter(
            p + "channel_digested",
            "Findings told in a digest, because more came than the channel may send one by one.",
            ["responder"],
            registry=registry,
        )
        self.retries = Counter(
            p + "channel_retries",
            "Requests of a channel that were made again.",
            ["responder"],
            registry=registry,
        )
        self.fallbacks = Counter(
            p + "channel_fallbacks",
            "Findings told by another responder because this one failed.",
            ["responder"],
            registry=registry,
        )

    def born(self, responder: str) -> None:
        """A channel's; fallbacks are born for every responder: `Metrics.born`."""
        for form in ("single", "digest"):
            self.messages.labels(responder, form)
        self.digested.labels(responder)
        self.retries.labels(responder)
