"""The calls by which what we see by is put back."""

MENDING = frozenset(
    {
        "CreateTrail",
        "EnableRule",
        "PutEventSelectors",
        "PutRule",
        "PutTargets",
        "RemoveTargets",
        "SetQueueAttributes",
        "SetTopicAttributes",
        "StartLogging",
        "UpdateTrail",
    }
)
"""By name. Each of them may do harm as well: what our own did is seen by the next look."""
