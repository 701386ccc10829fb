"""The bus that every change is told to, where there is one."""

from __future__ import annotations

from typing import Final

from infra.templates.names import STACK, Resource, sub

CONDITION: Final = "HasBus"


def resources() -> dict[str, Resource]:
    bus = {"Type": "AWS::Events::EventBus", "Condition": CONDITION, "Properties": {"Name": sub(STACK)}}
    return {"Bus": bus}
