"""kms-monitor as an AWS Lambda function: `monitor.serverless:handle` is its handler."""

import os
from typing import Any

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # What is imported before the first call is imported while Lambda starts a container, and by SnapStart only
    # once ("Understanding the Lambda execution environment lifecycle"). Elsewhere it is cheap to import.
    import monitor.serverless.entry  # noqa: F401


def handle(event: Any, context: Any) -> Any:
    """Answer one call of Lambda. Raises where Lambda has to make it again: see docs/serverless.md."""
    # Here and not above: to import the handler is cheap, and what fails is tried again at each call.
    from monitor.serverless.entry import call  # noqa: PLC0415

    return call(event, context)


def close() -> None:
    """End what `handle` set up. Lambda ends its containers without a word; others may be kinder."""
    from monitor.serverless.entry import FUNCTION  # noqa: PLC0415

    FUNCTION.close()
