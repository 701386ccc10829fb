"""Every check of a deployment from outside, in the order in which they are made."""

from __future__ import annotations

from typing import Final

from ccr.cli.doctor import login, network, pull, push, server
from ccr.cli.doctor.findings import Check

CHECKS: Final[tuple[Check, ...]] = (
    *network.CHECKS,
    *login.CHECKS,
    *server.CHECKS,
    *push.PUSHES,
    *pull.CHECKS,
)
