"""Credentials: `identity.credentials.CredentialStore` on DynamoDB."""

from __future__ import annotations

import json

from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.identity.credentials import Credential
from chalicelib.identity.grants import Grant


class DynamoCredentialStore:
    """Reads are consistent: a credential that was taken away stops at once."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table, self._reads = tables.credentials, reads

    def get(self, id_: str) -> Credential | None:
        model = self._reads.get(self._table, id_)
        if model is None:
            return None
        grants = tuple(Grant(g["pattern"], frozenset(g["actions"])) for g in json.loads(model.grants))
        expires = None if model.expires is None else int(model.expires)
        return Credential(model.id, model.account, model.secret_hash, grants, expires)

    def put(self, credential: Credential) -> None:
        grants = [{"pattern": g.pattern, "actions": sorted(g.actions)} for g in credential.grants]
        self._table(
            id=credential.id,
            account=credential.account,
            secret_hash=credential.secret_hash,
            grants=json.dumps(grants),
            expires=credential.expires,
        ).save()
