"""Which operation is allowed in which key state, and how AWS refuses it elsewhere.

One row per operation, one cell per state, as the table "Key states of AWS KMS keys" of the KMS
developer guide has them. A cell is `ok`, or the notes that apply, in the order in which they are
asked, joined by `+`; a note with `?` applies only to keys that cannot do the operation at all.

  1   DisabledException           is disabled
  3   KMSInvalidStateException    is pending deletion / is pending replica deletion
  4   KMSInvalidStateException    is not pending deletion
  5   KMSInvalidStateException    is pending import
  6   UnsupportedOperation        imported material is never rotated by KMS itself
  7   UnsupportedOperation        keys that are not rotated (custom key stores, asymmetric, HMAC)
  9   UnsupportedOperation        keys whose material is not imported
  11  KMSInvalidStateException    is unavailable
  14  KMSInvalidStateException    is creating
  15  KMSInvalidStateException    is updating

Where the guide says "DisabledException or KMSInvalidStateException" for a key that is pending
deletion (its notes 2 and 3), KMSInvalidStateException is given.
"""

from monitor.key import KeyState
from monitor.simulator.kms.keys import Key
from monitor.simulator.words import Refusal

_COLUMNS = (
    KeyState.ENABLED,
    KeyState.DISABLED,
    KeyState.PENDING_DELETION,
    KeyState.PENDING_IMPORT,
    KeyState.UNAVAILABLE,
    KeyState.CREATING,
    KeyState.UPDATING,
)

# UpdateAlias is judged by its new target; the old one may be pending deletion (note 10). The cells
# that AWS leaves out (an asymmetric or multi-Region key cannot live in a custom store, a key of a
# store has no imported material) refuse for the reason that lies nearest.
_ROWS = """
CancelKeyDeletion                       4     4      ok     4    4    4    4
DisableKey EnableKey                    ok    ok     3      5    ok   14   15
ScheduleKeyDeletion                     ok    ok     3      ok   ok   ok   15
PutKeyPolicy RetireGrant RevokeGrant    ok    ok     ok     ok   ok   ok   ok
DeleteAlias DescribeKey GetKeyPolicy    ok    ok     ok     ok   ok   ok   ok
ListAliases ListGrants ListKeyPolicies  ok    ok     ok     ok   ok   ok   ok
ListResourceTags GetKeyLastUsage        ok    ok     ok     ok   ok   ok   ok
CreateAlias UpdateAlias                 ok    ok     3      ok   ok   ok   ok
CreateGrant                             ok    1      3      5    ok   14   ok
TagResource UntagResource               ok    ok     3      ok   ok   ok   ok
UpdateKeyDescription                    ok    ok     3      ok   ok   ok   ok
EnableKeyRotation DisableKeyRotation    7?    7?+1   7?+3   6    7    14   7?
RotateKeyOnDemand                       7?    7?+1   7?+3   5    7    14   7?
GetKeyRotationStatus                    7?    7?     7?     6    7    7?   7?
ListKeyRotations                        7?    7?     7?     ok   7    7?   7?
GetParametersForImport                  9?    9?     9?+3   9?   9    14   15
ImportKeyMaterial                       9?    9?     9?+3   9?   9    14   9?
DeleteImportedKeyMaterial               9?    9?     9?     9?   9    14   15
ReplicateKey                            ok    1      3      5    11   14   15
UpdatePrimaryRegion                     ok    1      3      5    11   14   ok
Encrypt Decrypt ReEncrypt               ok    1      3      5    11   14   ok
GenerateDataKey                         ok    1      3      5    11   14   ok
GenerateDataKeyWithoutPlaintext         ok    1      3      5    11   14   ok
Sign Verify GenerateMac VerifyMac       ok    1      3      5    11   14   ok
GetPublicKey                            ok    1      3      5    11   14   ok
"""


def _read(rows: str) -> dict[tuple[str, KeyState], tuple[str, ...]]:
    table = {}
    for row in rows.strip().splitlines():
        words = row.split()
        names, cells = words[: -len(_COLUMNS)], words[-len(_COLUMNS) :]
        for name in names:
            for state, cell in zip(_COLUMNS, cells, strict=True):
                table[name, state] = () if cell == "ok" else tuple(cell.split("+"))
    return table


TABLE = _read(_ROWS)

_WORDS = {
    "4": "is not pending deletion",
    "5": "is pending import",
    "11": "is unavailable",
    "14": "is creating",
    "15": "is updating",
}


def check(operation: str, key: Key, state: KeyState) -> None:
    """Raise the refusal that AWS gives to `operation` on a key that is seen in `state`."""
    column = KeyState.PENDING_DELETION if state.pending_deletion else state
    for note in TABLE[operation, column]:
        match note:
            case "1":
                raise Refusal("DisabledException", f"{key.arn} is disabled.")
            case "3":
                replica = state is KeyState.PENDING_REPLICA_DELETION
                words = "is pending replica deletion" if replica else "is pending deletion"
                raise Refusal("KMSInvalidStateException", f"{key.arn} {words}.")
            case "7?" if _rotatable(operation, key):
                continue
            case "9?" if key.external:
                continue
            case "6" | "7" | "9" | "7?" | "9?":
                raise unsupported(key)
            case _:
                raise Refusal("KMSInvalidStateException", f"{key.arn} {_WORDS[note]}.")


def unsupported(key: Key) -> Refusal:
    """UnsupportedOperationException, naming what about the key stands in the way."""
    if not key.symmetric and key.origin == "AWS_KMS":
        why = f"key spec is {key.spec}"
    else:
        why = f"origin is {key.origin}"
    return Refusal(
        "UnsupportedOperationException", f"{key.arn} {why} which is not valid for this operation."
    )


def _rotatable(operation: str, key: Key) -> bool:
    """Symmetric, and not in a custom key store; imported material rotates on demand only (2025)."""
    if not key.symmetric or key.origin not in {"AWS_KMS", "EXTERNAL"}:
        return False
    return not key.external or operation not in {"EnableKeyRotation", "DisableKeyRotation"}
