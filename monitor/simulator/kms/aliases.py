"""Aliases: names that can be pointed at another key."""

from monitor.simulator.kms.call import Call, Operation, key_element
from monitor.simulator.kms.vault import Alias, alias_arn
from monitor.simulator.words import Refusal, Reply

MOST_ALIASES = 50


def create_alias(call: Call) -> Reply:
    name = _own_name(call)
    key = call.key("TargetKeyId")
    place = (call.account, call.region, name)
    if place in call.vault.aliases:
        arn = call.vault.aliases[place].arn
        raise Refusal("AlreadyExistsException", f"An alias with the name {arn} already exists")
    if sum(each.key is key for each in call.vault.aliases.values()) >= MOST_ALIASES:
        raise Refusal("LimitExceededException", f"{key.arn} has {MOST_ALIASES} aliases")
    alias = Alias(name, call.account, call.region, key, call.now, call.now)
    call.vault.aliases[place] = alias
    return call.reply(key, response=key_element(key), more=(alias.arn,))


def update_alias(call: Call) -> Reply:
    """The old target may be pending deletion, the new one may not."""
    alias = _existing(call)
    call.authorise(alias.key, "UpdateAlias", {})
    new = call.key("TargetKeyId")
    if (new.spec, new.usage) != (alias.key.spec, alias.key.usage):
        raise Refusal(
            "ValidationException",
            "The current and new KMS key must be the same type and have the same key usage",
        )
    alias.key = new
    alias.updated_at = call.now
    reply = call.reply(new, response=key_element(new))
    reply.resources = (alias.arn, new.arn)
    return reply


def delete_alias(call: Call) -> Reply:
    alias = _existing(call)
    call.permit(alias.key)
    del call.vault.aliases[alias.account, alias.region, alias.name]
    return call.reply(alias.key, response=key_element(alias.key), more=(alias.arn,))


def list_aliases(call: Call) -> Reply:
    wanted = call.key() if "KeyId" in call.parameters else None
    entries = [
        (
            alias.name,
            {
                "AliasName": alias.name,
                "AliasArn": alias.arn,
                "TargetKeyId": alias.key.ref.key_id,
                "CreationDate": alias.created_at,
                "LastUpdatedDate": alias.updated_at,
            },
        )
        for alias in call.vault.aliases.values()
        if (alias.account, alias.region) == (call.account, call.region)
        and (wanted is None or alias.key is wanted)
    ]
    return call.reply(
        *([wanted] if wanted else []),
        body=call.vault.page(entries, "Aliases", call.parameters, 50),
    )


def _own_name(call: Call) -> str:
    name: str = call.parameters["AliasName"]
    if not name.startswith("alias/") or name == "alias/":
        raise Refusal("ValidationException", 'Alias must start with the prefix "alias/".')
    if name.startswith("alias/aws/") and not call.caller.service:
        raise Refusal("NotAuthorizedException", "alias/aws/ is reserved for AWS managed keys")
    return name


def _existing(call: Call) -> Alias:
    name = _own_name(call)
    alias = call.vault.aliases.get((call.account, call.region, name))
    if alias is None:
        arn = alias_arn(call.account, call.region, name)
        raise Refusal("NotFoundException", f"Alias {arn} is not found.")
    return alias


OPERATIONS: dict[str, Operation] = {
    "CreateAlias": create_alias,
    "UpdateAlias": update_alias,
    "DeleteAlias": delete_alias,
    "ListAliases": list_aliases,
}
