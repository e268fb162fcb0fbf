"""CloudFormation templates from the same tables as the code: the rules and the rights of the settings.

words      what a template is written with: parameters, conditions, intrinsic functions
rights     the policies of `monitor.rights`, with a template's words instead of ids and names
events     the rules, from the patterns of the detectors
queues     the queue, who may send into it, and the bus for events from elsewhere
keeping    topic, table, and the canary's key
trust      the role that the daemon runs as
alarms     the watcher's watcher
home       the template for where the daemon lives: all of these
member     the template for another account or Region: a role to enter, and rules that send events home
terraform  rules and rights as data of the Terraform modules
writing    a template as text
command    `kms-monitor generate stack`
"""
