"""A template as text. Pure."""

import json
from typing import Any

import yaml

from monitor.stack.words import Value

HEADER = "# Made by `kms-monitor generate stack`: change the settings or the code, not this file.\n"
MOST = 51_200
"""Bytes of a template that is given to CloudFormation as such, and not from a bucket (CloudFormation quotas)."""


class Dumper(yaml.SafeDumper):
    """YAML as people write it: no anchors, lists indented, texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def written(dumper: Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, written)


def as_text(made: Value, *, as_json: bool = False) -> str:
    """The same each time, for what is the same."""
    if as_json:
        return json.dumps(made, indent=2) + "\n"
    text = yaml.dump(
        made, Dumper=Dumper, sort_keys=False, width=110, default_flow_style=None, allow_unicode=True
    )
    return HEADER + text
