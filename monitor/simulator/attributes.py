"""A fault of moto's SQS mended while the simulator is open: whatever is set, the policy stays.

moto forgets a queue's policy whenever SetQueueAttributes names others than `Policy`. SQS changes
those that are named (API reference, "SetQueueAttributes": "Sets the value of one or more queue
attributes").
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.sqs.models import Queue


@contextmanager
def policies_that_stay() -> Iterator[None]:
    """Put the mended method in, and take it out again."""
    original: Callable[..., None] = Queue._set_attributes  # noqa: SLF001 - nothing public does it

    def mended(queue: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(queue, "policy", None)
        original(queue, attributes, now)
        if "Policy" not in attributes and policy is not None:
            queue.policy = policy

    setattr(Queue, "_set_attributes", mended)  # noqa: B010 - a type checker knows it as a method
    try:
        yield
    finally:
        setattr(Queue, "_set_attributes", original)  # noqa: B010
