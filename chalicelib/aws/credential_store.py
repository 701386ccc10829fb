"""Credentials and what signing in needs beside them: rows of five tables, one read."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.transactions import TransactWrite

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.event_rows import new_order, outbox_model
from chalicelib.aws.reads import Key, Reads
from chalicelib.aws.tables import Tables
from chalicelib.aws.tenancy_store import registry_row
from chalicelib.identity.attempts import FORGET_SECONDS, Attempts
from chalicelib.identity.credentials import Credential, Kind, Secret, Trust
from chalicelib.identity.grants import Grant
from chalicelib.identity.revocations import registry_id
from chalicelib.identity.roles import Role
from chalicelib.identity.sign_in import Found
from chalicelib.identity.tenancy import Registry
from chalicelib.identity.tokens import LIFETIME_SECONDS
from chalicelib.spec.cloud_events import Event

_REVOKED: Final = timedelta(seconds=LIFETIME_SECONDS + 3600 + 60)


class DynamoCredentialStore:
    """Implements `identity.credential_desk.CredentialStore`, `sign_in.Directory`, `RevocationStore`.

    Reads are consistent, but for lists: an index, about a second behind on AWS.
    """

    def __init__(self, connection: Connection, tables: Tables, reads: Reads) -> None:
        self._connection, self._tables, self._reads = connection, tables, reads

    def get(self, id_: str) -> Credential | None:
        model = self._reads.get(self._tables.credentials, id_)
        return None if model is None else _credential(model)

    def page(self, account: str, after: str, limit: int) -> list[Credential]:
        table = self._tables.credentials
        following = table.id > after if after else None
        return [_credential(model) for model in table.account_id.query(account, following, limit=limit)]

    def put(
        self,
        credential: Credential,
        *,
        revoke: bool = False,
        witness: Credential | None = None,
        told: Event | None = None,
    ) -> bool:
        """Holds if the row has the version before, and that of `witness` is as it was read.

        With `revoke`, older generations stop counting.
        """
        table = self._tables.credentials
        before = credential.version - 1
        condition = table.version == before if before else table.version.does_not_exist()
        with_revocation = credential.generation if revoke else None
        transaction = TransactWrite(connection=self._connection)
        transaction.save(self._model(credential), condition=condition)
        self._require(transaction, witness)
        self._tell(transaction, told)
        return self._commit(transaction, credential.id, with_revocation)

    def remove(
        self, credential: Credential, *, witness: Credential | None = None, told: Event | None = None
    ) -> bool:
        """Holds if the row is unchanged. What was issued to it counts no more, a next one of its id does."""
        table = self._tables.credentials
        transaction = TransactWrite(connection=self._connection)
        transaction.delete(table(credential.id), condition=table.version == credential.version)
        self._require(transaction, witness)
        self._tell(transaction, told)
        return self._commit(transaction, credential.id, credential.generation + 1)

    def revoke_registry(self, name: str, at: int) -> None:
        self._revocation(registry_id(name), at).save()

    def revoked(self) -> Mapping[str, int]:
        table = self._tables.revocations
        return {model.id: int(model.generation) for model in table.query("all", consistent_read=True)}

    def look_up(self, id_: str, address: str, registries: Collection[str]) -> Found:
        tables = self._tables
        by_credential, by_address = f"credential#{id_}", f"address#{address}"
        keys: list[Key] = [
            (tables.credentials, id_, None),
            (tables.attempts, by_credential, None),
            (tables.attempts, by_address, None),
            *((tables.registries, name, None) for name in sorted(set(registries))),
        ]
        now = datetime.now(UTC)
        credential: Credential | None = None
        attempts: dict[str, Attempts] = {}
        found: dict[str, Registry] = {}
        for model in self._reads.get_many(keys):
            if isinstance(model, tables.credentials):
                credential = _credential(model)
            elif isinstance(model, tables.attempts):
                # DynamoDB removes what has expired within days, not at once.
                if model.expires > now:
                    attempts[model.key] = Attempts(int(model.failures), int(model.until))
            else:
                found[model.name] = registry_row(model)
        return Found(credential, found, attempts.get(by_credential), attempts.get(by_address))

    def failed(self, key: str, attempts: Attempts, now: int) -> None:
        """The first one begins a count anew in place of one that has expired and was not removed yet."""
        table = self._tables.attempts
        forget = datetime.fromtimestamp(now + FORGET_SECONDS, UTC)
        actions: list[Any] = [table.until.set(attempts.until), table.expires.set(forget)]
        if attempts.failures == 1:
            is_over = table.key.does_not_exist() | (table.expires <= datetime.now(UTC))
            try:
                table(key).update([table.failures.set(1), *actions], condition=is_over)
            except UpdateError as error:
                check_lost(error)
            else:
                return
        table(key).update([table.failures.add(1), *actions])

    def used(self, credential: Credential, address: str, now: int) -> None:
        table = self._tables.credentials
        try:
            table(credential.id).update(
                [table.used.set(now), table.used_from.set(address)], condition=table.id.exists()
            )
        except UpdateError as error:
            check_lost(error)
        self._tables.attempts(f"credential#{credential.id}").delete()

    def _require(self, transaction: TransactWrite, witness: Credential | None) -> None:
        if witness is not None:
            table = self._tables.credentials
            transaction.condition_check(table, witness.id, condition=table.version == witness.version)

    def _tell(self, transaction: TransactWrite, told: Event | None) -> None:
        if told is not None:
            event = replace(told, order=new_order(time.time()))
            transaction.save(outbox_model(self._tables, event))

    def _commit(self, transaction: TransactWrite, id_: str, generation: int | None) -> bool:
        if generation is not None:
            transaction.save(self._revocation(id_, generation))
        try:
            transaction._commit()  # noqa: SLF001 - its context manager, without a block to run
        except TransactWriteError as error:
            codes = {reason.code for reason in error.cancellation_reasons if reason}
            if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
                return False
            raise
        return True

    def _revocation(self, id_: str, generation: int) -> Any:
        expires = datetime.now(UTC) + _REVOKED
        return self._tables.revocations(all="all", id=id_, generation=generation, expires=expires)

    def _model(self, credential: Credential) -> Any:
        return self._tables.credentials(
            id=credential.id,
            account=credential.account,
            version=credential.version,
            generation=credential.generation,
            document=json.dumps(_document(credential)),
            used=credential.used,
            used_from=credential.used_from,
        )


def _document(credential: Credential) -> dict[str, Any]:
    trust = credential.trust
    return {
        "kind": credential.kind,
        "secrets": [[secret.hash, secret.expires] for secret in credential.secrets],
        "roles": dict(credential.roles),
        "grants": [[one.pattern, sorted(one.actions), one.incarnation] for one in credential.grants],
        "project": credential.project,
        "trust": [trust.issuer, trust.audience, trust.subject, dict(trust.claims)] if trust else None,
        "title": credential.title,
        "is_operator": credential.is_operator,
        "is_disabled": credential.is_disabled,
        "expires": credential.expires,
        "created": credential.created,
        "created_by": credential.created_by,
    }


def _credential(model: Any) -> Credential:
    document = json.loads(model.document)
    return Credential(
        id=model.id,
        account=model.account,
        kind=Kind(document["kind"]),
        secrets=tuple(Secret(hash_, expires) for hash_, expires in document["secrets"]),
        roles={project: Role(role) for project, role in document["roles"].items()},
        grants=tuple(
            Grant(pattern, frozenset(actions), incarnation)
            for pattern, actions, incarnation in document["grants"]
        ),
        project=document["project"],
        trust=Trust(*document["trust"]) if document["trust"] else None,
        title=document["title"],
        is_operator=document["is_operator"],
        is_disabled=document["is_disabled"],
        expires=document["expires"],
        generation=int(model.generation),
        version=int(model.version),
        created=document["created"],
        created_by=document["created_by"],
        used=int(model.used or 0),
        used_from=model.used_from or "",
    )
