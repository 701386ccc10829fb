"""Every check of a deployment, in their order; `AWS` has those of facts about AWS too."""

from __future__ import annotations

from typing import Final

from ccr.cli.doctor import account, facts, login, network, pull, push, server
from ccr.cli.doctor.findings import Check

CHECKS: Final[tuple[Check, ...]] = (
    *network.CHECKS,
    *login.CHECKS,
    *server.CHECKS,
    *push.PUSHES,
    *pull.CHECKS,
)
AWS: Final[tuple[Check, ...]] = (*CHECKS, *facts.FACTS, *account.FACTS)
