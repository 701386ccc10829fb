"""Names of resources, and references between them in CloudFormation's words."""

from __future__ import annotations

import re
from typing import Any, Final

STACK: Final = "${AWS::StackName}"
BUCKET_NAME: Final = f"{STACK}-${{AWS::AccountId}}-${{AWS::Region}}"
BUCKET_ARN: Final = f"arn:${{AWS::Partition}}:s3:::{BUCKET_NAME}"

Resource = dict[str, Any]


def logical(name: str, kind: str = "") -> str:
    """`logical("collect", "Role")` is CollectRole."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[-_ ]", name)) + kind


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def att(name: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def either(condition: str, yes: Any, no: Any) -> dict[str, list[Any]]:
    return {"Fn::If": [condition, yes, no]}


NOTHING: Final = {"Ref": "AWS::NoValue"}


def function_name(name: str) -> str:
    return f"{STACK}-{name}"


def function_arn(name: str) -> str:
    """Of the alias that is called; spelled out, for roles come before functions."""
    return (
        f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{function_name(name)}"
    )


def bus_arn() -> str:
    return f"arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:event-bus/{STACK}"


def table_arn(name: str) -> str:
    return f"arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{STACK}-{name}"
