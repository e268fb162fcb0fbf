"""kms-monitor as an AWS Lambda function: `monitor.serverless:handle` is its handler."""

from typing import Any


def handle(event: Any, context: Any) -> Any:
    """Answer one call of Lambda. Raises where Lambda has to make it again: see docs/serverless.md."""
    # Here and not above: to import the handler is cheap, and what fails is tried again at each call.
    from monitor.serverless.entry import call  # noqa: PLC0415

    return call(event, context)


def close() -> None:
    """End what `handle` set up. Lambda ends its containers without a word; others may be kinder."""
    from monitor.serverless.entry import FUNCTION  # noqa: PLC0415

    FUNCTION.close()
