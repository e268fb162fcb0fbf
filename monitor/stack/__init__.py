"""CloudFormation templates from the same tables as the code: the rules and the rights of the settings.

words        what a template is written with: parameters, conditions, intrinsic functions
rights       the policies of `monitor.rights`, with a template's words instead of ids and names
events       the rules, from the patterns of the detectors
queues       the queue, who may send into it, and the bus for events from elsewhere
keeping      topic, table, and the canary's key
trust        the role that the daemon runs as
alarms       the watcher's watcher
home         the template for where the daemon lives: all of these
member       the template for another account or Region: a role to enter, and rules that send events home
function     the function of the serverless form, who may call it, and when it looks at all keys
config_rule  the same function as a custom rule of AWS Config
serverless   the template for the serverless form: no queue, and a function instead of a daemon
terraform    rules and rights as data of the Terraform modules
writing      a template as text
command      `kms-monitor generate stack`
"""
