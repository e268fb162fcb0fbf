"""Which rights the enabled parts need: who calls what, and the IAM policies that allow just that.

table      part by part, the calls it makes; a new part of the daemon gets its line here
enabled    which parts the settings switch on, and in which accounts
policies   the JSON documents: identity, trust, queue, topic
command    `kms-monitor generate iam`
"""
