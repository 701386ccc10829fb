"""Webhooks: `events.stores.Webhooks` on DynamoDB."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pynamodb.exceptions import DeleteError, PutError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.events.stores import Webhook, WebhookSecret

_KEYS = frozenset({"account", "name", "version"})


class DynamoWebhooks:
    """Reads are consistent."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.webhooks
        self._reads = reads

    def get(self, account: str, name: str) -> Webhook | None:
        model = self._reads.get(self._table, account, name)
        return None if model is None else _webhook(model)

    def of(self, account: str) -> list[Webhook]:
        return [_webhook(model) for model in self._table.query(account, consistent_read=True)]

    def put(self, webhook: Webhook) -> bool:
        table = self._table
        document = {name: value for name, value in asdict(webhook).items() if name not in _KEYS}
        model = table(webhook.account, webhook.name, document=json.dumps(document), version=webhook.version)
        is_first = webhook.version == 1
        condition = table.name.does_not_exist() if is_first else table.version == webhook.version - 1
        try:
            model.save(condition=condition)
        except PutError as error:
            check_lost(error)
            # The engine may have written it, and only the answer was lost.
            return self.get(webhook.account, webhook.name) == webhook
        return True

    def remove(self, webhook: Webhook) -> bool:
        table = self._table
        try:
            table(webhook.account, webhook.name).delete(condition=table.version == webhook.version)
        except DeleteError as error:
            check_lost(error)
            return False
        return True


def _webhook(model: Any) -> Webhook:
    document = json.loads(model.document)
    return Webhook(
        **{
            **document,
            "account": model.account,
            "name": model.name,
            "version": int(model.version),
            "secrets": tuple(WebhookSecret(**one) for one in document["secrets"]),
            "events": tuple(document["events"]),
            "repositories": tuple(document["repositories"]),
        }
    )
