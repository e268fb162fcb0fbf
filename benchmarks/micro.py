"""What one message costs before anybody acts, against `json.loads` of the same body.

Run by `python -m benchmarks`; alone with pyperf's own options: `python -m benchmarks.micro`.
"""

import json

import pyperf

from benchmarks.bodies import body, wrapped
from monitor.books import Books
from monitor.clock import SystemClock
from monitor.delivery import Delivery
from monitor.detection import Detection
from monitor.detector import Detector, NoOptions
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.duplicates import Duplicates
from monitor.envelope import decoder, open_body
from monitor.metrics import Metrics
from monitor.pipeline import Pipeline
from monitor.policy import Mode, Rules
from monitor.response import Response
from monitor.stores.memory import MemoryStore


def main() -> None:
    runner = pyperf.Runner()
    interesting, boring = body("DisableKey"), body("Decrypt")
    metrics, clock = Metrics(), SystemClock()
    detectors: list[Detector] = [KeyDisabled(NoOptions()), KeyDeletionScheduled(DeletionOptions())]
    detection = Detection(detectors, metrics)
    pipeline = Pipeline(
        detection,
        Rules(Mode.OBSERVE, frozenset({("111122223333", "eu-west-1")})),
        Response({}, MemoryStore(clock), clock, metrics),
        Duplicates(MemoryStore(clock), clock, metrics),
        Books(metrics),
    )
    delivery = Delivery("1", boring, "queue", received_at=clock.now())
    event = open_body(interesting, detection.wanted).events[0]

    runner.bench_func("json.loads of the body (baseline)", json.loads, boring)
    runner.bench_func("decode", decoder.decode, boring)
    runner.bench_func("open an interesting body", open_body, interesting, detection.wanted)
    runner.bench_func("open it wrapped by SNS", open_body, wrapped(interesting), detection.wanted)
    runner.bench_func("inspect an interesting event", detection.inspect, event)

    async def journey() -> None:
        await pipeline.process(delivery)

    runner.bench_async_func("journey of an uninteresting event", journey)


if __name__ == "__main__":
    main()
