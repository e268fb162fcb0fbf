"""ExternalSecret, external-secrets.io/v1, as far as the chart and its values may use it.

Names, words and patterns after the operator's "API specification" (ExternalSecretSpec). No package has its schema,
so here is what we rest on, and nothing else is taken: an API server would drop an unknown member without a word.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[
    str,
    Field(
        max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
Entry = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Time = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$")]
"""As Go writes a duration."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Remote(Strict):
    key: str
    property: str = ""
    version: str = ""
    conversionStrategy: Literal["Default", "Unicode"] = "Default"  # noqa: N815
    decodingStrategy: Literal["Auto", "Base64", "Base64URL", "None"] = "None"  # noqa: N815
    metadataPolicy: Literal["None", "Fetch"] = "None"  # noqa: N815


class Data(Strict):
    secretKey: Entry  # noqa: N815
    remoteRef: Remote  # noqa: N815


class ByName(Strict):
    regexp: str


class Find(Strict):
    name: ByName | None = None
    path: str = ""
    tags: dict[str, str] = {}


class DataFrom(Strict):
    extract: Remote | None = None
    find: Find | None = None

    @model_validator(mode="after")
    def one_of_both(self) -> "DataFrom":
        if (self.extract is None) == (self.find is None):
            raise ValueError("either extract or find")
        return self


class Store(Strict):
    name: Name
    kind: Literal["SecretStore", "ClusterSecretStore"] = "SecretStore"


class Target(Strict):
    name: Name
    creationPolicy: Literal["Owner", "Orphan", "Merge", "None"] = "Owner"  # noqa: N815


class Spec(Strict):
    refreshInterval: Time = "1h"  # noqa: N815
    secretStoreRef: Store  # noqa: N815
    target: Target
    data: list[Data] = []
    dataFrom: list[DataFrom] = []  # noqa: N815

    @model_validator(mode="after")
    def something(self) -> "Spec":
        if not (self.data or self.dataFrom):
            raise ValueError("a Secret of nothing")
        return self


class Metadata(Strict):
    name: Name
    namespace: Name
    labels: dict[str, str] = {}


class ExternalSecret(Strict):
    apiVersion: Literal["external-secrets.io/v1"]  # noqa: N815
    kind: Literal["ExternalSecret"]
    metadata: Metadata
    spec: Spec


def check_external_secret(manifest: dict[str, Any]) -> None:
    """Raise `ValueError` for what the operator would not take, or would not see."""
    ExternalSecret.model_validate(manifest)
