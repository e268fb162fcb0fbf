"""Types that several models of the settings share."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from monitor.key import KeyRef


def quoted(value: Any) -> Any:
    """YAML reads 012345670123 as an octal number: an account id has to be in quotes."""
    if isinstance(value, int):
        raise ValueError('an account id must be in quotes, such as "111122223333"')  # noqa: TRY004
    return value


AccountId = Annotated[
    str,
    BeforeValidator(quoted),
    Field(pattern=r"^\d{12}$", description="An account's twelve digits, in quotes."),
]
Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]{0,20}:[a-z0-9-]+:[^\s]*$", max_length=2048)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="Such as eu-west-1.")]
RoleArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+$", max_length=640)
]
ExternalId = Annotated[
    str,
    Field(
        min_length=2,
        max_length=1224,
        description="What the role's trust policy asks for as sts:ExternalId.",
    ),
]
Pattern = Annotated[str, Field(min_length=1, max_length=2048)]
"""With `*`, `?` and `[...]`, as shells have them."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
"""Fit for a metric label and for people."""
SeverityWord = Literal["info", "low", "medium", "high", "critical"]


def is_key(arn: str) -> str:
    if KeyRef.parse(arn) is None:
        raise ValueError(f"{arn} is not the ARN of a KMS key")
    return arn


KeyArn = Annotated[Arn, AfterValidator(is_key)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
