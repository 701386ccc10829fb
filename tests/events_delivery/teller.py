"""The stream function as a process: round after round, until it is killed."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from chalicelib.config import Settings
from chalicelib.wiring import Deployment

LEASE_SECONDS = 2


def deployment_of(dynamodb: str, s3: str) -> Deployment:
    """Retries come at once and never end, and whoever died loses its queues within seconds."""
    settings = Settings(
        token_keys=(b"key of the tests".ljust(32),),
        s3_endpoint=s3,
        s3_public_endpoint=s3,
        dynamodb_endpoint=dynamodb,
        webhook_http=True,
        webhook_inside=frozenset({"loopback"}),
        webhook_retries=(0,) * 100_000,
    )
    deployment = Deployment(settings)
    deployment.rounds.courier = replace(deployment.rounds.courier, lease=LEASE_SECONDS)
    return deployment


def tell(folder: Path, dynamodb: str, s3: str) -> None:
    """All that the process does."""
    with (folder / "teller.err").open("a") as errors:
        os.dup2(errors.fileno(), 1)
        os.dup2(errors.fileno(), 2)
    rounds = deployment_of(dynamodb, s3).rounds
    while True:
        rounds.begin(5)
        time.sleep(0.05)
