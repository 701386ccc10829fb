"""Entry points of the deployed functions; nothing but Chalice and the wiring."""

from __future__ import annotations

import os
from typing import Any

from chalice import Chalice

from chalicelib.config import Settings
from chalicelib.wiring import Deployment

app = Chalice(app_name="ccr")
deployment = Deployment(Settings.from_environment(os.environ))


@app.lambda_function(name="registry")
def registry(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one function URL event, payload format 2.0."""
    return deployment.handler(event, context)


@app.lambda_function(name="management")
def management(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one function URL event of /api/v1."""
    return deployment.manage(event, context)


@app.lambda_function(name="adopt")
def adopt(event: dict[str, Any], context: Any) -> None:
    """Take notice of one S3 event: objects created under `staged/`."""
    deployment.adopt(event, context)


@app.lambda_function(name="verifier")
def verifier(event: dict[str, Any], context: Any) -> None:
    """Verify the direct upload that the event names."""
    deployment.verify(event["session"], context.get_remaining_time_in_millis() / 1000)


@app.schedule("rate(1 hour)", name="lifecycle")
def lifecycle(event: Any) -> None:
    """Carry out the lifecycle policies, as far as the time goes."""
    deployment.apply_lifecycle(event.context.get_remaining_time_in_millis() / 1000)
