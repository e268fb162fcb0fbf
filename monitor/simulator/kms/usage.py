"""What every use of a key has in common: the right usage, and the memory of the last use."""

from monitor.simulator.kms.call import Call
from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.specs import SPECS
from monitor.simulator.words import Refusal


def require(call: Call, key: Key, usage: str, member: str, algorithm: str) -> None:
    """Refuse what the key's usage or spec does not include."""
    if key.usage != usage:
        raise Refusal(
            "InvalidKeyUsageException",
            f"{key.arn} key usage is {key.usage} which is not valid for {call.operation}.",
        )
    if algorithm not in SPECS[key.spec].algorithms(usage)[member]:
        raise Refusal(
            "InvalidKeyUsageException",
            f"Algorithm {algorithm} is incompatible with key spec {key.spec}.",
        )


def used(call: Call, key: Key) -> None:
    """Remember a successful use, for GetKeyLastUsage.

    The request id is one of our own: the endpoint has not given the call its id yet, and the
    CloudTrail event does not exist yet, so CloudTrailEventId (optional) is left out.
    """
    key.last_usage = {
        "Operation": call.operation,
        "Timestamp": call.now,
        "KmsRequestId": call.vault.new_uuid(),
    }


def unavailable(key: Key) -> Refusal:
    """For a read that lags: it still sees the key usable, but the material is gone."""
    return Refusal("KeyUnavailableException", f"{key.arn} has no key material at the moment")


def refuse_recipient(call: Call) -> None:
    if "Recipient" in call.parameters:
        raise Refusal("UnsupportedOperationException", "The simulator knows no attested recipients")


def stop_dry_run(call: Call) -> None:
    """End a dry run here: the call would have succeeded, and has not been made."""
    if call.get("DryRun", False):
        raise Refusal(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.",
        )
