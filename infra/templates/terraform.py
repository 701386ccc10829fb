"""What the Terraform module reads: the same tables, functions, roles, alarms, in Terraform's words."""

from __future__ import annotations

import re
from typing import Any, Final

from infra.templates import bucket, gateway, lambdas, roles, tables, watch
from infra.templates.functions import FUNCTIONS

_REFERENCE: Final = re.compile(r"\$\{([^}]*)\}")


# The names of the module's own locals, which `templatestring` and `replace` put in place of CloudFormation's.
def for_module() -> dict[str, Any]:
    return {
        "tables": {name: _table(name, schema) for name, schema in tables.schemas()},
        "functions": _functions(),
        "stream_filter": lambdas.NEW_ROWS,
        "lifecycle": [_plain(rule) for rule in bucket.lifecycle()],
        "alarms": _alarms(),
        "dashboard": _plain(watch.dashboard()),
        "gateway_statements": [_plain(one) for one in gateway.statements()],
    }


def _table(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    keys = {one["KeyType"]: one["AttributeName"] for one in schema["KeySchema"]}
    return {
        "hash_key": keys["HASH"],
        "range_key": keys.get("RANGE"),
        "attributes": {one["AttributeName"]: one["AttributeType"] for one in schema["AttributeDefinitions"]},
        "ttl": schema.get("TimeToLiveSpecification", {}).get("AttributeName"),
        "stream": tables.STREAM_VIEW if name in tables.STREAMED else None,
        "global_indexes": _indexes(schema.get("GlobalSecondaryIndexes", [])),
        "local_indexes": _indexes(schema.get("LocalSecondaryIndexes", [])),
    }


def _indexes(indexes: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for index in indexes:
        keys = {one["KeyType"]: one["AttributeName"] for one in index["KeySchema"]}
        found[index["IndexName"]] = {
            "hash_key": keys["HASH"],
            "range_key": keys.get("RANGE"),
            "projection": index["Projection"]["ProjectionType"],
            "attributes": index["Projection"].get("NonKeyAttributes"),
        }
    return found


def _functions() -> dict[str, Any]:
    expressions = lambdas.schedules()
    return {
        name: {
            "handler": handler,
            "memory": FUNCTIONS[name].memory,
            "timeout": FUNCTIONS[name].timeout,
            "has_url": FUNCTIONS[name].has_url,
            "is_event": FUNCTIONS[name].is_event,
            "schedule": expressions.get(name),
            "stream": FUNCTIONS[name].stream or None,
            "statements": [_plain(one) for one in roles.statements(FUNCTIONS[name])],
        }
        for name, handler in lambdas.handlers().items()
    }


def _alarms() -> dict[str, Any]:
    return {
        name: {
            "namespace": alarm.namespace,
            "metric": alarm.metric,
            "dimensions": {key: _plain(value) for key, value in alarm.dimensions.items()},
            "statistic": alarm.statistic,
            "threshold": alarm.threshold,
            "description": alarm.said,
            "period": alarm.minutes * 60,
            "periods": alarm.periods,
            "comparison": alarm.comparison,
            "missing": alarm.missing,
        }
        for name, alarm in watch.alarms().items()
    }


def _plain(value: Any) -> Any:
    """References as `@[Name]` and `@[Name.Attribute]`, which the module replaces."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return f"@[{value['Ref']}]"
        if set(value) == {"Fn::GetAtt"}:
            return f"@[{'.'.join(value['Fn::GetAtt'])}]"
        if set(value) == {"Fn::Sub"}:
            return _plain(value["Fn::Sub"])
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _REFERENCE.sub(r"@[\1]", value) if isinstance(value, str) else value
