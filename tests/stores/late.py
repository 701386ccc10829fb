"""A deployment whose clock is ahead: what takes days is over without waiting for it."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.wiring import Deployment


class Late:
    """The deployment's clock, ahead of the real one."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def pass_time(deployment: Deployment, seconds: float) -> None:
    clock: Any = deployment.clock
    clock.ahead += seconds
