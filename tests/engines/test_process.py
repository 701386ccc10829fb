"""Engines as child processes: they end with their parent, say why they do not start, and stop when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccr.engines import process
from ccr.engines.process import Engine, EngineError, free_ports, is_listening

ROOT = Path(__file__).parents[2]
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = """
import sys, time
from pathlib import Path
from ccr.engines.process import start
engine = start("child", [sys.executable, "-c", sys.argv[2]], endpoint="", folder=Path(sys.argv[1]))
print(engine.process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    started: list[Engine] = []

    def run(code: str) -> Engine:
        command = [sys.executable, "-c", code]
        engine = process.start("child", command, endpoint="http://there", folder=tmp_path / "new folder")
        started.append(engine)
        return engine

    yield run
    for engine in started:
        engine.process.kill()
        engine.process.wait()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def is_running(pid: int) -> bool:
    """Not gone, and not a zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child when its parent dies")
@pytest.mark.parametrize("code", [SLEEP, STUBBORN], ids=["obedient", "deaf to SIGTERM"])
def test_child_dies_with_its_parent_even_of_kill_9(tmp_path: Path, code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert eventually(lambda: (tmp_path / "child.log").read_text() == "up\n")
        assert is_running(child)
        parent.kill()
    assert eventually(lambda: not is_running(child))


@pytest.mark.skipif(sys.platform != "linux", reason="set where a child dies with its parent")
def test_ctrl_c_does_not_reach_the_child(start: Callable[[str], Engine]) -> None:
    """The parent stops it once it has drained."""
    engine = start(SLEEP)
    assert os.getpgid(engine.process.pid) != os.getpgid(os.getpid())


def test_output_goes_to_a_log_in_the_folder(start: Callable[[str], Engine], tmp_path: Path) -> None:
    engine = start("import sys; print('out', flush=True); print('error', file=sys.stderr)")
    engine.process.wait()
    assert engine.log == tmp_path / "new folder" / "child.log"
    assert engine.log.read_text() == "out\nerror\n"
    assert (engine.name, engine.endpoint) == ("child", "http://there")


def test_log_of_the_run_before_is_kept(start: Callable[[str], Engine]) -> None:
    for _ in range(2):
        engine = start("print('once')")
        engine.process.wait()
    assert engine.log.read_text() == "once\nonce\n"


def test_environment_is_added_to_our_own(tmp_path: Path) -> None:
    code = "import os; print(os.environ['ADDED'], 'PATH' in os.environ, os.getcwd())"
    engine = process.start(
        "child",
        [sys.executable, "-c", code],
        endpoint="",
        folder=tmp_path,
        environ={"ADDED": "yes"},
        cwd=tmp_path,
    )
    engine.process.wait()
    assert engine.log.read_text() == f"yes True {tmp_path}\n"


def test_engine_is_told_no_secret_of_the_registry_or_of_aws(
    start: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CCR_ADMIN_PASSWORD", "CCR_TOKEN_KEY", "AWS_SECRET_ACCESS_KEY", "WEED_JWT_SIGNING_KEY"):
        monkeypatch.setenv(name, "secret")
    engine = start("import os; print([name for name, value in os.environ.items() if value == 'secret'])")
    engine.process.wait()
    assert engine.log.read_text() == "[]\n"


def test_files_of_an_engine_are_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "there before"
    folder.mkdir(mode=0o755)
    code = "import os; open('file', 'w').close(); os.mkdir('folder')"
    before = os.umask(0)
    try:
        engine = process.start("child", [sys.executable, "-c", code], endpoint="", folder=folder, cwd=folder)
    finally:
        os.umask(before)
    engine.process.wait()
    modes = {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}
    assert modes == {folder.name: 0o700, "child.log": 0o600, "file": 0o600, "folder": 0o700}


def test_engine_that_ends_says_its_last_lines(start: Callable[[str], Engine]) -> None:
    engine = start("[print('line', n) for n in range(30)]; raise SystemExit(3)")
    with pytest.raises(EngineError) as raised:
        engine.wait_until(lambda: False)
    message = str(raised.value)
    assert message.startswith(f"child does not start; the end of {engine.log}:")
    assert message.splitlines()[1:] == [f"line {number}" for number in range(15, 30)]


def test_engine_that_is_never_ready_is_given_up(
    start: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0)
    with pytest.raises(EngineError, match="child does not start"):
        start(SLEEP).wait_until(lambda: False)


def test_engine_is_waited_for_until_it_is_ready(start: Callable[[str], Engine]) -> None:
    engine = start(SLEEP)
    engine.wait_until(lambda: engine.log.read_text() == "up\n")
    assert engine.process.poll() is None


def test_stop_asks_first_and_may_be_called_again(start: Callable[[str], Engine]) -> None:
    engine = start(SLEEP)
    engine.stop()
    assert engine.process.returncode == -signal.SIGTERM
    engine.stop()


def test_stop_kills_what_does_not_listen(
    start: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    engine = start(STUBBORN)
    engine.wait_until(lambda: engine.log.read_text() == "up\n")
    engine.stop()
    assert engine.process.returncode == -signal.SIGKILL


def test_free_ports_are_given_to_one_process_alone() -> None:
    """Two registries that start at once: neither may take for its engine what answers for the other's."""
    (first,) = free_ports(1)
    code = f"from ccr.engines import process as p; p._PORTS = range({first}, {first + 1}); p.free_ports(1)"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert other.returncode != 0
    assert f"there are no 1 free ports from {first} to {first}" in other.stderr


def test_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(process, "_PORTS", range(port, port + 1))
        with pytest.raises(EngineError, match=f"no 1 free ports from {port} to {port}"):
            free_ports(1)


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(10)
    assert len(set(ports)) == 10
    for port in ports:
        assert not is_listening(port)
        with socket.create_server(("127.0.0.1", port)):
            assert is_listening(port)
