"""What is there before schemathesis asks, and who it asks as."""

from __future__ import annotations

from typing import Final

USERNAME: Final = "admin"
REPOSITORY: Final = "seeded/team/app"
