"""The environment variables of the command line."""

from __future__ import annotations

from typing import Final, NamedTuple


class Variable(NamedTuple):
    """One environment variable, as the documents list it."""

    name: str
    default: str
    meaning: str


PROFILE: Final = Variable(
    "CCR_PROFILE", "the one last logged in or chosen", "the profile to use, as --profile"
)
URL: Final = Variable(
    "CCR_URL", "that of the profile", "where the registry is; a profile of another host is not used then"
)
USERNAME: Final = Variable(
    "CCR_USERNAME",
    "that of the profile",
    "the id of the credential; a profile of another one is not used then",
)
PASSWORD: Final = Variable("CCR_PASSWORD", "that of the profile", "the secret of the credential")
TRUST: Final = Variable(
    "CCR_TRUST", "none", "the trust that ccr-credential-provider signs service accounts in with"
)
CONFIG_HOME: Final = Variable("XDG_CONFIG_HOME", "~/.config", "the folder of ccr/config.json, the profiles")
STATE_HOME: Final = Variable(
    "XDG_STATE_HOME", "~/.local/state", "the folder of ccr/transfers.json, the uploads to go on with"
)
DOCKER: Final = Variable(
    "DOCKER_HOST", "/var/run/docker.sock", "the Docker engine to push from and load into"
)
VARIABLES: Final = (PROFILE, URL, USERNAME, PASSWORD, TRUST, CONFIG_HOME, STATE_HOME, DOCKER)
