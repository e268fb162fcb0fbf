"""What we see, and what takes it away: trails, rules and queues judged by what still comes through.

    kms_calls       the events that a guardian of keys cannot do without
    trails          what a trail's selectors still record
    rules           what a rule's pattern still lets through
    queues          what new attributes do to a queue of ours
    event_pattern   the language of EventBridge's patterns
    pattern_writer  the patterns that let through just what the detectors need
    mending         the calls that undo such harm
    blinding        which calls blind us, and whether what they touch is ours
    touching        which calls change what we see by, and what each one touches

Pure.
"""
