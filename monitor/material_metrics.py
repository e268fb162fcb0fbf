"""The metrics of imported material: see `monitor.metrics`, which holds them."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge


class Answer(StrEnum):
    """What an escrow answered."""

    FOUND = "found"
    MISSING = "missing"
    DENIED = "denied"
    FAILED = "failed"


class Imported(StrEnum):
    """What became of material that an escrow had."""

    DONE = "imported"
    WRONG = "wrong"
    """It does not fit the key, or is not what KMS had before."""
    DENIED = "denied"
    FAILED = "failed"


class MaterialMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.answers = Counter(
            prefix + "escrow_answers",
            "Answers of escrows that were asked for key material.",
            ["escrow", "answer"],
            registry=registry,
        )
        self.failing = Gauge(
            prefix + "escrow_failing",
            "1 if the escrow could not answer when it was last asked.",
            ["escrow"],
            registry=registry,
        )
        self.imports = Counter(
            prefix + "material_imports",
            "Imports of key material from an escrow.",
            ["escrow", "outcome"],
            registry=registry,
        )
        self.without_escrow = Gauge(
            prefix + "keys_without_escrow",
            "Imported keys that no escrow could bring back, at the last look.",
            ["account", "region"],
            registry=registry,
        )

    def born(self, escrows: list[str], places: list[tuple[str, str]]) -> None:
        for escrow in escrows:
            self.failing.labels(escrow)
            for answer in Answer:
                self.answers.labels(escrow, answer.value)
            for outcome in Imported:
                self.imports.labels(escrow, outcome.value)
        if escrows:
            for account, region in places:
                self.without_escrow.labels(account, region)
