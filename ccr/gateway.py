"""`ccr gateway`: the upload gateway as a process of its own, or as the container of infra/gateway."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

import uvicorn

from chalicelib.config import GatewaySettings, ProcessSettings, Settings, SettingsError
from chalicelib.gateway.application import create_application
from chalicelib.gateway.server import server_config
from chalicelib.identity.capability import capability_keys
from chalicelib.upload_gateway import UploadGateway
from chalicelib.watching import watching


def serve(environ: Mapping[str, str], host: str, port: int) -> None:
    """Until SIGTERM, and then until the uploads that run have ended. Raises SettingsError."""
    settings = GatewaySettings.from_environment(environ)
    with watching("gateway", ProcessSettings.from_environment(environ)) as (watch, _):
        application = create_application(UploadGateway(settings), watch)
        config = server_config(application, drain_seconds=settings.drain_seconds)
        config.host, config.port = host, port
        uvicorn.Server(config).run()


def main(host: str, port: int) -> int:
    """Exit code 1 and one message for what a person can mend."""
    # Uvicorn raises the signal again once it has drained: leave by an exception, not by dying of it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(os.environ, host, port)
    except KeyboardInterrupt:
        return 0
    except SettingsError as error:
        print(f"ccr: {error}", file=sys.stderr)
        return 1
    return 0


def capability_setting(settings: Settings) -> str:
    """CCR_CAPABILITY_KEY of the gateways of that registry."""
    return ",".join(key.hex() for key in capability_keys(settings.token_keys))


def print_capability_keys() -> int:
    """Exit code 1 and one message where CCR_TOKEN_KEY is none."""
    try:
        print(capability_setting(Settings.from_environment(os.environ)))
    except SettingsError as error:
        print(f"ccr: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
