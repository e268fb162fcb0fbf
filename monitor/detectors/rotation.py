"""Rotation of a key's material: switched off, made rarer, or done at once.

Rotation takes nothing away: KMS keeps the old material of a key for ever (aws-facts 3.6). What is
lost without it is the limit on how much is encrypted under one material, and often compliance.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.parameters import whole

DEFAULT_PERIOD_DAYS = 365
"""Where the caller names none (KMS API reference, "EnableKeyRotation")."""
GUIDE = "https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html"
API = "https://docs.aws.amazon.com/kms/latest/APIReference/"


class RotationDisabled(Base[NoOptions]):
    name: ClassVar = "rotation_disabled"
    title: ClassVar = "Rotation of a KMS key switched off"
    about: ClassVar = About(
        description="Somebody switched off the automatic rotation of a KMS key. The key works on, "
        "but its material is not renewed any more, which most standards demand.",
        severity="medium; an attempt is medium if AWS denied it, else low; silent where rotation "
        "is known to be off anyway",
        techniques=("T1562",),
        false_positives=(
            "Infrastructure as code sets a key up without rotation on purpose.",
            "Rotation is switched off before material is rotated on demand.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Switch it on again with the period that it had.",
        ),
        references=(GUIDE, API + "API_DisableKeyRotation.html"),
    )
    events: ClassVar = frozenset({(KMS, "DisableKeyRotation")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Switching off the rotation of a KMS key")]
        known = self.knowledge.key(event.key)
        days = known.rotation_days if known else None
        if days == 0:
            return []
        details = {"previous_period_days": str(days)} if days else {}
        return [
            self.finding(
                event, self.title, Severity.MEDIUM, aspect=Aspect.ROTATION, details=details
            )
        ]


class RotationPeriodChanged(Base[NoOptions]):
    name: ClassVar = "rotation_period_changed"
    title: ClassVar = "Rotation of a KMS key set"
    about: ClassVar = About(
        description="Somebody switched on the rotation of a KMS key, or changed its period. A "
        "longer period means that more is encrypted under one material.",
        severity="medium if the period is longer than it should be; low if it is shorter, or if it "
        "is not known and longer than the default of 365 days; else info; an attempt is medium if "
        "AWS denied it, else low",
        techniques=("T1562",),
        false_positives=("Infrastructure as code sets the period that a standard asks for.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            (
                "Set the period that your standard asks for: EnableKeyRotation with "
                "RotationPeriodInDays."
            ),
        ),
        references=(GUIDE, API + "API_EnableKeyRotation.html"),
    )
    events: ClassVar = frozenset({(KMS, "EnableKeyRotation")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Setting the rotation of a KMS key")]
        known = self.knowledge.key(event.key)
        before = known.rotation_days if known else None
        days = whole(event.request(), "rotationPeriodInDays") or DEFAULT_PERIOD_DAYS
        details = {"period_days": str(days)}
        if before is not None:
            details["previous_period_days"] = str(before)
        title, severity, kind = f"{self.title} to {days} days", Severity.INFO, Kind.NOTICE
        if before is None:
            severity = Severity.LOW if days > DEFAULT_PERIOD_DAYS else Severity.INFO
        elif before == 0:
            title = f"Rotation of a KMS key switched on, every {days} days"
        elif days == before:
            # As it should be: whatever was done to it before, this takes it back.
            title, kind = f"Rotation of a KMS key is on again, every {days} days", Kind.RECOVERY
        else:
            longer = days > before
            severity = Severity.MEDIUM if longer else Severity.LOW
            title = (
                f"Rotation of a KMS key made {'rarer' if longer else 'more frequent'}: "
                f"every {days} days instead of {before}"
            )
        return [
            self.finding(event, title, severity, kind=kind, aspect=Aspect.ROTATION, details=details)
        ]


class RotatedOnDemand(Base[NoOptions]):
    name: ClassVar = "rotated_on_demand"
    title: ClassVar = "KMS key rotated on demand"
    about: ClassVar = About(
        description="Somebody had KMS renew the material of a key at once. Nothing is lost by it, "
        "but a key can be rotated so only 25 times in its life, and in a key with imported material "
        "it makes what was imported last the material that all is encrypted with.",
        severity="low; medium for a key with imported material; an attempt is medium if AWS denied "
        "it, else low",
        techniques=("T1486",),
        false_positives=("Material is renewed after an incident, or at a date that a rule sets.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "If the material is imported, find out who holds it, and when it expires.",
        ),
        references=(GUIDE, API + "API_RotateKeyOnDemand.html"),
    )
    events: ClassVar = frozenset({(KMS, "RotateKeyOnDemand")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Rotating a KMS key on demand")]
        known = self.knowledge.key(event.key)
        imported = known is not None and known.origin == "EXTERNAL"
        details = {"rotations_left": "not known; 25 in the life of a key"}
        if imported:
            details["origin"] = "EXTERNAL"
        return [
            self.finding(
                event,
                self.title,
                Severity.MEDIUM if imported else Severity.LOW,
                kind=Kind.NOTICE,
                aspect=Aspect.ROTATION,
                details=details,
            )
        ]
