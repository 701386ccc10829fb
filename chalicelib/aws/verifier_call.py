"""Has direct uploads verified by a function of their own."""

from __future__ import annotations

import json
from typing import Any


class VerifierCall:
    """Asynchronous: AWS queues the event, and sends it again where the function fails.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
    """

    def __init__(self, client: Any, function: str) -> None:
        self._client, self._function = client, function

    def __call__(self, session: str) -> None:
        payload = json.dumps({"session": session}).encode()
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)
