"""The deployment on moto that the tests of the endpoints have; those of the domain alone ask for none."""

from __future__ import annotations

from tests.endpoints.conftest import _aws, _made, deploy, deployment, driver

__all__ = ["_aws", "_made", "deploy", "deployment", "driver"]
