"""What a template is written with. Pure.

Forms: CloudFormation user guide, "Intrinsic function reference" and "Template sections".
"""

from collections.abc import Iterable, Mapping
from typing import Any

Value = Any
"""What a template holds: text, lists and maps, as JSON."""

NOTHING: Value = {"Ref": "AWS::NoValue"}


def ref(name: str) -> Value:
    return {"Ref": name}


def attribute(name: str, of: str = "Arn") -> Value:
    return {"Fn::GetAtt": [name, of]}


def text(template: str, **values: Value) -> Value:
    """Text in which `${Name}` stands for a parameter, a resource, or one of `values`."""
    return {"Fn::Sub": [template, values] if values else template}


def when(condition: str, then: Value, otherwise: Value = NOTHING) -> Value:
    return {"Fn::If": [condition, then, otherwise]}


def joined(by: str, values: Value) -> Value:
    return {"Fn::Join": [by, values]}


def equal(one: Value, other: Value) -> Value:
    return {"Fn::Equals": [one, other]}


def different(one: Value, other: Value) -> Value:
    return {"Fn::Not": [equal(one, other)]}


def either(*conditions: Value) -> Value:
    return {"Fn::Or": list(conditions)}


def both(*conditions: Value) -> Value:
    return {"Fn::And": list(conditions)}


def condition(name: str) -> Value:
    return {"Condition": name}


def parameter(description: str, default: str | None = None, **more: Value) -> Value:
    """A parameter that is text unless `more` says otherwise; without a default it has to be given."""
    given = {} if default is None else {"Default": default}
    return {"Type": "String", "Description": description} | given | more


def choice(description: str, values: Iterable[str], default: str) -> Value:
    return parameter(description, default, AllowedValues=list(values))


def resource(kind: str, properties: Mapping[str, Value], **more: Value) -> Value:
    return {"Type": f"AWS::{kind}"} | more | {"Properties": dict(properties)}


NAME = parameter(
    "The name of all that is made here. The same in every account and Region.",
    "kms-monitor",
    # With what is put behind it a rule's name has 64 characters, a queue's 80.
    AllowedPattern="[A-Za-z0-9][A-Za-z0-9-]{1,39}",
)
MODE = choice(
    "observe: judge and tell, without the right to write. enforce: put keys back, too.",
    ("observe", "enforce"),
    "observe",
)
ENFORCES = equal(ref("Mode"), "enforce")
REGIONS = parameter(
    "The Regions whose keys are guarded, with commas between. Empty: this one.",
    "",
    Type="CommaDelimitedList",
)
HAS_REGIONS = different(joined("", ref("Regions")), "")
GUARDED_REGIONS = when("HasRegions", ref("Regions"), [ref("AWS::Region")])
