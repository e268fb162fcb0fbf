"""Whether a trail records what is done to KMS: by cases, and against the simulator's own selectors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sight.kms_calls import READS, WRITES
from monitor.sight.trails import COMPARISONS, Sight, sight, use, write
from monitor.simulator.selectors import Selectors

KMS = "kms.amazonaws.com"


def classic(**changes: Any) -> dict[str, Any]:
    """As CloudTrail records the call."""
    whole = {
        "readWriteType": "All",
        "includeManagementEvents": True,
        "dataResources": [],
        "excludeManagementEventSources": [],
    }
    return {"eventSelectors": [whole | changes]}


def advanced(*fields: dict[str, Any], category: str = "Management") -> dict[str, Any]:
    first = {"field": "eventCategory", "equals": [category]}
    return {"advancedEventSelectors": [{"name": "x", "fieldSelectors": [first, *fields]}]}


def field(name: str, operator: str, *values: str) -> dict[str, Any]:
    return {"field": name, operator: list(values)}


@pytest.mark.parametrize(
    "selectors",
    [
        classic(),
        classic(excludeManagementEventSources=["rdsdata.amazonaws.com"]),
        {"eventSelectors": [{}]},
        {"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]},
        advanced(),
        advanced(field("eventSource", "notEquals", "rdsdata.amazonaws.com")),
        advanced(field("eventSource", "startsWith", "kms")),
        {
            "AdvancedEventSelectors": [
                {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}
            ]
        },
        # What one loses the other takes.
        {
            "eventSelectors": [
                {"readWriteType": "ReadOnly"},
                {"readWriteType": "WriteOnly"},
            ]
        },
        # CloudTrail may write out what was left empty.
        advanced({"field": "readOnly", "equals": [], "notEquals": None}),
    ],
)
def test_it_sees_everything(selectors: dict[str, Any]) -> None:
    assert sight(selectors) == Sight()


@pytest.mark.parametrize(
    ("selectors", "reason"),
    [
        ({}, "there is no event selector"),
        ({"eventSelectors": "x", "advancedEventSelectors": [7]}, "there is no event selector"),
        (classic(includeManagementEvents=False), "includeManagementEvents is false"),
        (
            classic(excludeManagementEventSources=[KMS]),
            f"excludeManagementEventSources names {KMS}",
        ),
        (
            {"EventSelectors": [{"ExcludeManagementEventSources": [KMS]}]},
            f"excludeManagementEventSources names {KMS}",
        ),
        (classic(readWriteType="ReadOnly"), "readWriteType is ReadOnly"),
        (advanced(category="Data"), "eventCategory equals Data"),
        (advanced(field("readOnly", "equals", "true")), "readOnly equals true"),
        (advanced(field("eventSource", "notEquals", KMS)), f"eventSource notEquals {KMS}"),
        (advanced(field("eventSource", "notStartsWith", "k")), "eventSource notStartsWith k"),
        (advanced(field("eventSource", "notEndsWith", ".com")), "eventSource notEndsWith .com"),
        (advanced(field("eventSource", "endsWith", ".cn")), "eventSource endsWith .cn"),
        (
            advanced(field("userIdentity.arn", "notEquals", "arn:aws:iam::1:user/mallory")),
            "userIdentity.arn notEquals arn:aws:iam::1:user/mallory",
        ),
        ({"advancedEventSelectors": [{}]}, "an advanced selector has no fieldSelectors"),
        (advanced({"equals": ["x"]}), "a field without a name equals x"),
    ],
)
def test_it_is_blind(selectors: dict[str, Any], reason: str) -> None:
    seen = sight(selectors)
    assert seen.blind
    assert not seen.sees
    assert seen.lost == WRITES
    assert reason in "; ".join(seen.why_not)


@pytest.mark.parametrize(
    ("selectors", "reason"),
    [
        (classic(readWriteType="WriteOnly"), "readWriteType is WriteOnly"),
        (advanced(field("readOnly", "equals", "false")), "readOnly equals false"),
        (advanced(field("readOnly", "notEquals", "true")), "readOnly notEquals true"),
    ],
)
def test_it_sees_no_use(selectors: dict[str, Any], reason: str) -> None:
    seen = sight(selectors)
    assert seen.sees
    assert not seen.sees_use
    assert not seen.blind
    assert seen.why_not == (reason,)


def test_it_says_which_calls_are_lost() -> None:
    seen = sight(advanced(field("eventName", "notStartsWith", "Disable")))
    assert seen.lost == ("DisableKey", "DisableKeyRotation")
    assert seen.sees_use
    assert not seen.blind
    assert seen.why_not == ("eventName notStartsWith Disable",)
    seen = sight(advanced(field("eventName", "notEquals", "DisableKey")), ["EnableKey"], [])
    assert seen == Sight()


def test_what_kms_does_by_itself_is_an_event_of_another_type() -> None:
    seen = sight(advanced(field("eventType", "equals", "AwsApiCall")))
    assert seen.lost == ("DeleteKey", "DeleteExpiredKeyMaterial")
    assert seen.why_not == ("eventType equals AwsApiCall",)


def test_reasons_do_not_grow_with_what_an_attacker_writes() -> None:
    seen = sight(advanced(field("eventSource", "equals", *("x" * 2000 for _ in range(500)))))
    assert len(seen.why_not[0]) < 200


FIELD_NAMES = ("eventCategory", "eventSource", "eventName", "readOnly", "eventType")
VALUES = ("Management", "Data", KMS, "kms", ".com", "true", "false", "Disable", "Key", "AwsApiCall")
operators = st.dictionaries(
    st.sampled_from(list(COMPARISONS)),
    st.lists(st.sampled_from([*VALUES, *WRITES, *READS]), min_size=1, max_size=3),
    min_size=1,
    max_size=2,
)
advanced_ones = st.builds(
    lambda fields: {
        "fieldSelectors": [{"field": name, **found} for name, found in fields],
    },
    st.lists(st.tuples(st.sampled_from(FIELD_NAMES), operators), min_size=1, max_size=3),
)
classic_ones = st.fixed_dictionaries(
    {
        "readWriteType": st.sampled_from(["All", "ReadOnly", "WriteOnly"]),
        "includeManagementEvents": st.booleans(),
        "excludeManagementEventSources": st.lists(
            st.sampled_from([KMS, "rdsdata.amazonaws.com"]), max_size=2
        ),
    }
)
either = st.one_of(
    st.builds(lambda some: {"eventSelectors": some}, st.lists(classic_ones, max_size=3)),
    st.builds(lambda some: {"advancedEventSelectors": some}, st.lists(advanced_ones, max_size=3)),
)


def as_the_api_spells_it(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            name[0].upper() + name[1:]: as_the_api_spells_it(one) for name, one in found.items()
        }
    return [as_the_api_spells_it(one) for one in found] if isinstance(found, list) else found


@given(selectors=either)
def test_it_says_what_the_simulator_does(selectors: dict[str, Any]) -> None:
    api = as_the_api_spells_it(selectors)
    simulated = Selectors(
        classic=tuple(api.get("EventSelectors", ())),
        advanced=tuple(api.get("AdvancedEventSelectors", ())),
    )
    seen = sight(selectors)
    for names, sample, lost in ((WRITES, write, seen.lost), (READS, use, seen.lost_uses)):
        records: dict[str, dict[str, Any]] = {name: dict(sample(name)) for name in names}
        for one in records.values():
            one["readOnly"] = one["readOnly"] == "true"
        taken = {name for name, one in records.items() if simulated.include(one)}
        assert set(names) - set(lost) == taken
    assert bool(seen.why_not) is not (seen.sees and seen.sees_use)
    assert sight(api) == seen


@given(
    selectors=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.fixed_dictionaries(
                {},
                optional={
                    "eventSelectors": inner,
                    "advancedEventSelectors": inner,
                    "fieldSelectors": inner,
                    "field": inner,
                    "equals": inner,
                },
            )
        ),
    )
)
def test_any_shape_is_judged(selectors: Any) -> None:
    sight(selectors if isinstance(selectors, dict) else {"eventSelectors": selectors})
