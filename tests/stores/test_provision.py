"""A table that an earlier version made gets the indexes of this one, and its rows are found through them."""

from __future__ import annotations

import time

from chalicelib.aws.keys import repository_key, shard_of
from chalicelib.aws.provision import create_tables
from chalicelib.registry.changes import PutLink
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import a_link, write


def test_a_table_without_an_index_gets_it(deployment: Deployment, repository: Repository) -> None:
    tables, client = deployment._tables, deployment.dynamodb
    name = tables.links.Meta.table_name
    link = a_link()
    write(deployment, PutLink(repository, link))
    update = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "idle"}}]}
    client.update_table(TableName=name, **update)
    while client.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes"):
        time.sleep(0.1)
    create_tables(client, tables)
    found = [(one.repository, one.digest) for one in tables.links.by_idle.query(shard_of(link.digest))]
    assert (repository_key(repository), link.digest) in found
