"""Key policies: what they say, who may do what under them, and what changed, in words.

    document    the JSON text as statements (`parse`)
    actions     the names of KMS's calls, and patterns over them
    access      whether a statement, or a whole policy, lets a caller do something
    answers     public, foreign, lost to its administrators, lost to us
    difference  two policies compared, as short English sentences

Pure. A policy comes from an event: it is untrusted text, and may be damaged.
"""
