"""Entry points of the deployed functions; nothing but Chalice and the wiring."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from chalice import Chalice

if TYPE_CHECKING:
    from chalicelib.observation.functions import Watch
    from chalicelib.wiring import Deployment

app = Chalice(app_name="ccr")


@functools.cache
def deployment() -> Deployment:
    """Made once; all that it imports is imported here."""
    from chalicelib.aws.secret_values import with_secrets  # noqa: PLC0415
    from chalicelib.config import Settings  # noqa: PLC0415
    from chalicelib.wiring import Deployment  # noqa: PLC0415

    return Deployment(Settings.from_environment(with_secrets(os.environ)))


@functools.cache
def watch(service: str) -> Watch:
    """Of the one function that this process is; its name tells it from those of another deployment."""
    from chalicelib.observation.functions import Watch  # noqa: PLC0415

    return Watch(os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or service)


# Lambda's initialization has more CPU than a request and, with SnapStart, is what every instance starts from.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
    deployment()
    watch(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "").rpartition("-")[2])


@app.lambda_function(name="registry")
def registry(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one function URL event, payload format 2.0."""
    return watch("registry").answer(event, context, deployment().handler)


@app.lambda_function(name="management")
def management(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one function URL event of /api/v1."""
    return watch("management").answer(event, context, deployment().manage)


@app.lambda_function(name="adopt")
def adopt(event: dict[str, Any], context: Any) -> None:
    """Take notice of one S3 event: objects created under `staged/`."""
    _answer("adopt", event, context)


@app.schedule("rate(15 minutes)", name="collect")
def collect(event: Any) -> None:
    """Free what nothing needs any more."""
    _run("collect", event)


@app.schedule("rate(1 day)", name="sweep")
def sweep(event: Any) -> None:
    """Look through the bucket for what no row names."""
    _run("sweep", event)


@app.schedule("rate(6 hours)", name="reconcile")
def reconcile(event: Any) -> None:
    """Go on with migrations; compare what is counted with what is stored, and put it right."""
    _run("reconcile", event)


@app.lambda_function(name="verifier")
def verifier(event: dict[str, Any], context: Any) -> None:
    """Verify the direct upload that the event names."""
    _answer("verifier", event, context)


@app.schedule("rate(1 hour)", name="lifecycle")
def lifecycle(event: Any) -> None:
    """Carry out the lifecycle policies, as far as the time goes."""
    _run("lifecycle", event)


def _run(work: str, event: Any) -> None:
    from chalicelib.jobs import JOBS  # noqa: PLC0415

    watch(work).run(event.context, functools.partial(JOBS[work], deployment()))


def _answer(work: str, event: dict[str, Any], context: Any) -> None:
    from chalicelib.jobs import FOR_EVENTS  # noqa: PLC0415

    watch(work).run(context, functools.partial(FOR_EVENTS[work], deployment(), event))


@app.lambda_function(name="setup")
def setup(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Make the first account and its administrator; the password is in the answer, the first time.

    `{"edge": true}`: what belongs into the edge's key value store. Who may invoke this may have both.
    """
    if event.get("edge"):
        return deployment().known_to_the_edge(has_gateway=bool(event.get("gateway")))
    return deployment().open()


@app.lambda_function(name="stream")
def stream(event: dict[str, Any], context: Any) -> None:
    """Tell of what one event of the outbox's stream says was put there."""
    _answer("stream", event, context)


@app.schedule("rate(1 minute)", name="tell")
def tell(event: Any) -> None:
    """Try again what is due, and tell of what no stream has led to."""
    _run("tell", event)
