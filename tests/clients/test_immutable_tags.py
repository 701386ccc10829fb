"""What a person reads whose push would move an immutable tag."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.clients.commands import ClientError
from tests.clients.conftest import Target, one_way
from tests.clients.drivers import Driver
from tests.clients.layout import TAG, write_image

pytestmark = pytest.mark.clients


@one_way
def test_a_client_shows_why_an_immutable_tag_does_not_move(
    driver: Driver, target: Target, tmp_path: Path
) -> None:
    first, second = (write_image(tmp_path / name, (1000, 100)) for name in ("first", "second"))
    driver.login(target.host, target.registry.username, target.registry.password)
    driver.load(first, target.reference)
    driver.push(target.reference)
    served = target.served_digest()
    answer = requests.put(
        f"{target.registry.url}/api/v1/policies/{quote(target.repository, safe='')}/immutable-tags",
        json={"patterns": [TAG]},
        auth=(target.registry.username, target.registry.password),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    driver.push(target.reference)
    driver.load(second, target.reference)

    with pytest.raises(ClientError) as refused:
        driver.push(target.reference)

    message = f"the tag {TAG} of {target.repository} is immutable (pattern {TAG}) and names {served}"
    # containerd before 1.7 shows the status alone.
    assert (message if driver.name != "ctr" else "403 Forbidden") in str(refused.value)
    assert target.served_digest() == served
    driver.remove(target.reference)
