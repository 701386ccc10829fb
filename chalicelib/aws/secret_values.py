"""Settings that are secrets, read from Secrets Manager once, when a function starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chalicelib.aws.clients import secrets_client
from chalicelib.config import SettingsError

# The variable that names the secret, and the setting that its value is.
SECRETS: Final = {"CCR_TOKEN_KEY_SECRET": "CCR_TOKEN_KEY", "CCR_ORIGIN_SECRET_SECRET": "CCR_ORIGIN_SECRET"}


def with_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, and each setting that a variable of `SECRETS` names a secret for.

    A secret that is being rotated has both values, with a comma, as the setting itself.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    Raises SettingsError for a secret that has no text.
    """
    found = dict(environ)
    named = {setting: environ[name] for name, setting in SECRETS.items() if environ.get(name)}
    if named:
        client = secrets_client(environ.get("AWS_REGION", ""))
        for setting, secret in named.items():
            text = client.get_secret_value(SecretId=secret).get("SecretString", "")
            if not text:
                raise SettingsError(f"the secret {secret}, which has {setting}, has no text")
            found[setting] = text
    return found
