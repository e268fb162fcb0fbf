"""Key material that somebody brought along: prepared, imported, deleted, run out.

A key with imported material works only while each of its materials is there: if any one is deleted
or runs out, the whole key is of no use until the very same bytes are imported again (aws-facts 3.5).
KMS has no copy of them.
"""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.detector import KMS, NATIVE, About, Base, NoOptions, is_denied
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState
from monitor.parameters import short, text
from monitor.written_times import read_written

DAY = 86_400
GUIDE = "https://docs.aws.amazon.com/kms/latest/developerguide/"
API = "https://docs.aws.amazon.com/kms/latest/APIReference/"


class ImportedMaterialDeleted(Base[NoOptions]):
    name: ClassVar = "imported_material_deleted"
    title: ClassVar = "Imported key material deleted"
    about: ClassVar = About(
        description="Somebody deleted imported material of a KMS key. It works at once and without "
        "a waiting period: the whole key is of no use until the very same material is imported "
        "again.",
        severity="critical; an attempt is medium if AWS denied it, else low",
        techniques=("T1485",),
        false_positives=(
            "Material that was imported but never became current is taken away: the key works on.",
            "Material is deleted to import it again with another date of expiry.",
        ),
        advice=(
            (
                "Import the very same material again from where you keep it, if no escrow of "
                "kms-monitor had it: kms-monitor material import --key ARN --file FILE."
            ),
            (
                "If the material cannot be found, restore what the key encrypted from backups under "
                "other keys."
            ),
            "If nobody knows of it, revoke the sessions of the role or the keys of the user.",
        ),
        references=(
            GUIDE + "importing-keys-delete-key-material.html",
            API + "API_DeleteImportedKeyMaterial.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "DeleteImportedKeyMaterial")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Deleting imported key material")]
        return [
            self.finding(
                event,
                self.title,
                Severity.CRITICAL,
                caused=KeyState.PENDING_IMPORT,
                details=material_details(event),
            )
        ]


class ImportedMaterialExpired(Base[NoOptions]):
    name: ClassVar = "imported_material_expired"
    title: ClassVar = "Imported key material has expired"
    about: ClassVar = About(
        description="Imported material of a KMS key has run out, and KMS has deleted it. The whole "
        "key is of no use until the very same material is imported again.",
        severity="critical",
        techniques=("T1485",),
        false_positives=("The key was meant to end on that day.",),
        advice=(
            (
                "Import the very same material again from where you keep it, with a later date of "
                "expiry or none."
            ),
            "Find out who set the date of expiry, and whether other keys have the same.",
        ),
        references=(GUIDE + "ct-deleteexpiredkeymaterial.html", GUIDE + "kms-events.html"),
    )
    events: ClassVar = frozenset(
        {(KMS, "DeleteExpiredKeyMaterial"), (NATIVE, "KMS Imported Key Material Expiration")}
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []  # nobody can call it: it is KMS's own event
        # The native event spells its members with dashes.
        material = material_of(event) or text(event.request(), "key-material-id")
        # Told on two ways. Imported again, the same material can run out again: hence the day.
        occasion = f"expired on day {int(event.time // DAY)}|{material}"
        return [
            self.finding(
                event,
                self.title,
                Severity.CRITICAL,
                caused=KeyState.PENDING_IMPORT,
                details={"key_material_id": short(material)} if material else {},
                occasion=occasion if event.key else "",
            )
        ]


class MaterialOptions(BaseModel, extra="forbid"):
    near_days: int = Field(
        30,
        ge=1,
        le=365,
        description="Material that runs out within so many days raises the severity to high.",
    )


class MaterialImported(Base[MaterialOptions]):
    name: ClassVar = "material_imported"
    title: ClassVar = "Key material imported"
    about: ClassVar = About(
        description="Somebody imported material into a KMS key. Whoever did it has a copy of what "
        "the key encrypts with, and if the material expires, so does the key: who encrypts data "
        "under it holds the data hostage.",
        severity="low if the material does not expire; medium if it does, or if the date cannot be "
        "read; high if that is within `near_days`; an attempt is medium if AWS denied it, else low",
        techniques=("T1486", "T1485"),
        false_positives=("Your own process brings key material, and renews it before it expires.",),
        advice=(
            "Find out whether whoever did it was meant to, and where the material is kept.",
            "If it expires, put the day into your calendar, or import it again without a date.",
            (
                "If nobody knows of it, see what was encrypted under the key since, and encrypt it "
                "again under another."
            ),
        ),
        references=(
            GUIDE + "importing-keys.html",
            GUIDE + "ct-importkeymaterial.html",
            API + "API_ImportKeyMaterial.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "ImportKeyMaterial")})
    Options: ClassVar[type[BaseModel]] = MaterialOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Importing key material")]
        request = event.request()
        details = material_details(event)
        kind = text(request, "importType")
        if kind:
            details["import_type"] = short(kind)
        severity, tail = self.expiry(event, details)
        title = self.title + tail
        return [self.finding(event, title, severity, kind=Kind.NOTICE, details=details)]

    def expiry(self, event: Event, details: dict[str, str]) -> tuple[Severity, str]:
        """How severe it is, and the title's end; `details` gets the date as it was written."""
        request = event.request()
        # KEY_MATERIAL_EXPIRES is the default, and then validTo is mandatory (aws-facts 3.5).
        if text(request, "expirationModel") == "KEY_MATERIAL_DOES_NOT_EXPIRE":
            return Severity.LOW, " that does not expire"
        written = text(request, "validTo")
        if written:
            details["valid_to_text"] = short(written)
        moment = read_written(written)
        if moment is None:
            details["valid_to_problem"] = "the date cannot be read: ask DescribeKey"
            return Severity.MEDIUM, ", and it cannot be said when it expires"
        days = max(0, int((moment - event.time) // DAY))
        details["expires_in_days"] = str(days)
        near = days <= self.options.near_days
        return Severity.HIGH if near else Severity.MEDIUM, f" that expires in {days} days"


class ImportPrepared(Base[NoOptions]):
    name: ClassVar = "import_prepared"
    title: ClassVar = "Import of key material prepared"
    about: ClassVar = About(
        description="Somebody fetched what is needed to import material into a KMS key: a public "
        "key and a token, good for 24 hours. An import may follow. CloudTrail counts the call as "
        "read-only, so it is seen only where read-only events reach the queue.",
        severity="low; an attempt that AWS denied is medium, any other failure is silent",
        techniques=("T1486",),
        false_positives=("Your own process brings key material.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Watch for ImportKeyMaterial on the same key within 24 hours.",
        ),
        references=(
            GUIDE + "importing-keys-get-public-key-and-token.html",
            API + "API_GetParametersForImport.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "GetParametersForImport")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            # A key of another origin refuses it: somebody erred, and nothing was prepared.
            denied = is_denied(event.error_code)
            return [self.attempt(event, "Preparing an import of key material")] if denied else []
        request = event.request()
        members = {"algorithm": "wrappingAlgorithm", "wrapping_key": "wrappingKeySpec"}
        details = {name: short(text(request, member)) for name, member in members.items()}
        return [
            self.finding(event, self.title, Severity.LOW, kind=Kind.NOTICE, details=details),
        ]


def material_of(event: Event) -> str:
    """The material's id, where the record says it (since 2025)."""
    for members in (event.response(), event.service_details(), event.request()):
        found = text(members, "keyMaterialId")
        if found:
            return found
    return ""


def material_details(event: Event) -> dict[str, str]:
    material = material_of(event)
    return {"key_material_id": short(material)} if material else {}
