"""Key policies: what they say, who may do what under them, and what changed, in words.

    document    the JSON text as statements (`parse`)
    actions     the names of KMS's calls, and patterns over them
    access      whether a statement, or a whole policy, lets a caller do something
    answers     public, foreign, lost to its administrators, lost to us
    dangers     what is dangerous about a policy, or about its change
    trust       who is no outsider: options of detectors
    difference  two policies compared, as short English sentences

Pure. A policy comes from an event: it is untrusted text, and may be damaged.
"""
