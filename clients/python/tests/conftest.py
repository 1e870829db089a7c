"""Starts a server for the tests. DATELINE_BIN names the binary; the default is the debug build of this checkout."""

import os
import pathlib
import re
import subprocess
import threading
import uuid
from collections.abc import Iterator

import grpc
import pytest
from dateline.v1.archive_service_pb2_grpc import ArchiveServiceStub
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub

CHECKOUT = pathlib.Path(__file__).parents[3]
START_S = 60
STOP_S = 60


class Server:
    """A server with an archive of its own, on a free port of this machine."""

    def __init__(self, archive: pathlib.Path) -> None:
        binary = os.environ.get("DATELINE_BIN", str(CHECKOUT / "target/debug/dateline"))
        if not os.access(binary, os.X_OK):
            pytest.exit(f"there is no server at {binary}: run `cargo build`, or set DATELINE_BIN", returncode=2)
        # The settings of the person who runs the tests must not reach the server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DATELINE_")}
        self._process = subprocess.Popen(
            [binary, "serve", "--archive", str(archive), "--listen", "127.0.0.1:0", "--no-auth"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        )
        self._log: list[str] = []
        self._serving = threading.Event()
        self._address: str | None = None
        # The log is read to its end, so that the server never waits for room in the pipe.
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._log.append(line)
            # The socket in the archive's directory comes after the port.
            if self._address is None and (match := re.search(r"serving address=(\S+)", line)):
                self._address = match[1]
                self._serving.set()
        self._serving.set()

    def address(self) -> str:
        self._serving.wait(START_S)
        if self._address is None:
            status = self.stop()
            pytest.exit(f"the server did not start, and ended with status {status}. Its log:\n{self.log()}", returncode=2)
        return self._address

    def log(self) -> str:
        return "".join(self._log)

    def stop(self) -> int:
        """Returns the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join(STOP_S)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("archive"))
    yield server.address()
    status = server.stop()
    assert status == 0, f"the server ended with status {status}. Its log:\n{server.log()}"


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def archive(channel: grpc.Channel) -> ArchiveServiceStub:
    return ArchiveServiceStub(channel)


@pytest.fixture
def feed(channel: grpc.Channel) -> ChangeFeedServiceStub:
    return ChangeFeedServiceStub(channel)


@pytest.fixture
def source() -> str:
    """A source that no other test has."""
    return f"sources/python-{uuid.uuid4().hex[:12]}"
