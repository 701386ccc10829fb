"""`aws` as ccr calls it, in this process: the same words, read by botocore's own models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from ccr.cli.doctor.aws_command import AwsError

_SERVICES = {"s3api": "s3"}


def aws_of(client_of: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """`client_of` gives the client of a service."""

    def call(service: str, operation: str, *options: str) -> dict[str, Any]:
        client = client_of(_SERVICES.get(service, service))
        method = operation.replace("-", "_")
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
        members = {
            f"--{xform_name(name, '-')}": (name, one) for name, one in shape.input_shape.members.items()
        }
        pairs = zip(options[::2], options[1::2], strict=True)
        asked = {members[key][0]: _value(members[key][1], text) for key, text in pairs}
        try:
            answer = getattr(client, method)(**asked)
        except ClientError as error:
            raise AwsError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    return call


def _value(shape: Any, text: str) -> Any:
    if shape.type_name == "blob":
        return Path(text).read_bytes()
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text()
    if shape.type_name in {"structure", "list", "map"}:
        return json.loads(text)
    return int(text) if shape.type_name == "integer" else text
