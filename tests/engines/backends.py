"""A deployment on moto, or on engines that run as processes, started when first asked for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from moto import mock_aws

from ccr.engines.dynamodb_local import start_dynamodb_local
from ccr.engines.ministack import start_ministack
from ccr.engines.process import Engine, EngineError
from ccr.engines.seaweedfs import start_seaweedfs
from chalicelib.config import Settings
from chalicelib.wiring import Deployment

MOTO = "moto"
EMBEDDED = "ministack and weed"
REAL = "dynamodb local and weed"
ENGINES = (EMBEDDED, REAL)
BACKENDS = (MOTO, *ENGINES)
# DynamoDB Local takes letters and digits alone.
ACCESS_KEY, SECRET_KEY = "keyofthetests", "secretofthetests"


class Engines:
    """One of each, whatever number of tests ask."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: dict[str, Engine | EngineError] = {}
        self._deployments: dict[str, Deployment] = {}

    def deployment(self, backend: str) -> Deployment:
        """The one on these engines; its credentials are in the environment."""
        if backend not in self._deployments:
            deployment = Deployment(self._settings(backend))
            deployment.prepare()
            self._deployments[backend] = deployment
        return self._deployments[backend]

    @contextmanager
    def apart(self, backend: str) -> Iterator[Deployment]:
        """One with a bucket and tables of its own: what reads all of them meets nothing of other tests."""
        name = f"apart-{secrets.token_hex(4)}"
        settings = replace(self._settings(backend), bucket=name, table_prefix=f"{name}-")
        deployment = Deployment(settings)
        deployment.prepare()
        yield deployment
        for model in deployment._tables.stored():
            deployment.dynamodb.delete_table(TableName=model.Meta.table_name)
        deployment._s3.delete_bucket(Bucket=name)

    def _settings(self, backend: str) -> Settings:
        """Skips the test that asks where the real engine cannot be had."""
        return Settings(
            token_keys=(b"key of the tests".ljust(32),),
            create_on_push=True,
            s3_endpoint=self._endpoint("weed", lambda: start_seaweedfs(self._folder, ACCESS_KEY, SECRET_KEY)),
            s3_public_endpoint=self._endpoint("weed", None),
            dynamodb_endpoint=self._dynamodb(backend),
            show_backend_calls=True,
            head_carries_body=False,
        )

    def _dynamodb(self, backend: str) -> str:
        if backend == EMBEDDED:
            return self._endpoint(backend, lambda: start_ministack(self._folder, ACCESS_KEY, SECRET_KEY))
        try:
            return self._endpoint(backend, lambda: start_dynamodb_local(self._folder))
        except EngineError as error:
            pytest.skip(f"the real engine does not start here: {error}")

    def _endpoint(self, name: str, start: Callable[[], Engine] | None) -> str:
        if name not in self._running and start is not None:
            try:
                engine = start()
                self._stack.callback(_killed, engine)
                self._running[name] = engine
            except EngineError as error:
                self._running[name] = error
        running = self._running[name]
        if isinstance(running, EngineError):
            raise running
        return running.endpoint


def _killed(engine: Engine) -> None:
    """Nobody reads what it holds."""
    engine.process.kill()
    engine.process.wait()


@contextmanager
def deployed(backend: str, engines: Engines) -> Iterator[Deployment]:
    """A prepared deployment, with its credentials in the environment."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        if backend != MOTO:
            yield stack.enter_context(engines.apart(backend))
            return
        stack.enter_context(mock_aws())
        settings = Settings(
            token_keys=(b"key of the tests".ljust(32),),
            create_on_push=True,
            show_backend_calls=True,
            head_carries_body=False,
        )
        deployment = Deployment(settings)
        deployment.prepare()
        yield deployment
