"""Names of accounts, projects, registries and credentials: lower case only, so none looks like another."""

from __future__ import annotations

import re
from typing import Final

from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import check_name as check_repository_name

REGISTRY_LIMIT: Final = 63
# Who the audit trail says it was where the deployment itself acts.
AGENTS: Final = frozenset({"collector", "lifecycle"})
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CREDENTIAL: Final = re.compile(r"[a-z0-9](?:[a-z0-9._+@-]{0,126}[a-z0-9])?")


def check_name(what: str, name: str) -> str:
    """Of an account or project: 1 to 63 of a-z, 0-9 and inner dashes. Raises RefusedError (INVALID)."""
    if not _NAME.fullmatch(name):
        raise _invalid(f"the name of a {what} has 1 to 63 of a-z, 0-9 and - (inside)")
    return name


def check_registry_name(name: str) -> str:
    """One segment of a repository name, at most 63 characters. Raises RefusedError (INVALID)."""
    try:
        check_repository_name(name)
    except RegistryError as error:
        raise _invalid(error.message) from error
    if "/" in name or len(name) > REGISTRY_LIMIT:
        raise _invalid(f"the name of a registry is one segment of at most {REGISTRY_LIMIT} characters")
    return name


def check_credential_id(id_: str) -> str:
    """1 to 128 of a-z, 0-9 and inner . _ + @ -. Raises RefusedError (INVALID)."""
    if not _CREDENTIAL.fullmatch(id_):
        raise _invalid("the id of a credential has 1 to 128 of a-z, 0-9 and . _ + @ - (inside)")
    return id_


def check_new_credential_id(id_: str) -> str:
    """Nobody is called as the deployment itself is in the audit trail. Raises RefusedError (INVALID)."""
    if id_ in AGENTS:
        raise _invalid(f"{id_!r} is what the audit trail calls a part of this deployment: choose another id")
    return check_credential_id(id_)


def _invalid(message: str) -> RefusedError:
    return RefusedError(Reason.INVALID, message)
