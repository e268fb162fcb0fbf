"""What we see by, put back as it was: trails, rules, queues and topics.

resource   what a resource is, and its settings by part
plan       the calls that lead from its live settings back to the baseline
accepting  how an approved change moves the baseline
live       reading and writing them
"""
