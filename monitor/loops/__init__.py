"""What the daemon does without being told: it looks at keys, at its own sight, and for what is its.

sweep           how every key is, asked of KMS
canary          a harmless call whose event must come back
silence         places of which nothing was heard for long
inventory       which resources our sight rests on, and what is wrong with them
looking         the steps of that, and ...
looking_around  ... those in one place
turns           who may begin, where hundreds of places want to
own_road        how what a loop found goes the way of every event
lookouts        all of them, made from the settings
"""
