"""The keys judged as a custom rule of AWS Config, by the same judgement as the daemon's.

invocation   what Config asks: the event of a rule's Lambda function, decoded
parameters   the rule's own parameters: what counts
judging      what is wrong with a key, the worst first, as a verdict
oversized    the whole of an item that was too large for its message
putting      the verdicts, handed to Config
rule         all of it in its order
"""
