"""The real scorer on free ports of loopback, and a client that asks it for many predictions."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

TARGET = Path(__file__).parents[3] / "target" / "debug"
SCORER = TARGET / "fraudops-scorer"
SIMULATOR = TARGET / "fraudops-simulator"
PATIENCE = 30
# Requests under way on the one connection: HTTP/1.1 answers them in their order.
WINDOW = 50


class Scorer:
    """A running scorer; leaving the `with` block ends it."""

    def __init__(self, model: Path) -> None:
        self._process = subprocess.Popen(
            [
                *(SCORER, "serve", "--model", model, "--workers", "1", "--drain-delay", "0s"),
                *("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"),
                *("--deadline", "5s"),  # every row must be scored, however busy the machine is
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        first = json.loads(self._process.stderr.readline())
        self._address, self._admin = first["listen"], first["admin"]
        # Somebody must read the logs, or the pipe fills.
        self._log: list[str] = []
        threading.Thread(target=lambda: self._log.extend(self._process.stderr), daemon=True).start()

    def __enter__(self) -> Scorer:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"http://{self._admin}/readyz", timeout=5).close()
                return self
            except urllib.error.URLError as error:
                assert self._process.poll() is None and time.monotonic() < deadline, f"{error}: {''.join(self._log)}"
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(timeout=PATIENCE) == 0, "".join(self._log)

    def answer(self, body: bytes) -> dict:
        """The whole answer to one body."""
        with self._connect() as connection:
            connection.sendall(_request(body))
            return _answer(connection.makefile("rb"))

    def probabilities(self, bodies: Sequence[bytes]) -> list[float]:
        """`fraud_probability` of each body of POST /predict."""
        with self._connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return list(_ask(connection, bodies))

    def _connect(self) -> socket.socket:
        host, port = self._address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=PATIENCE)


def _ask(connection: socket.socket, bodies: Sequence[bytes]) -> Iterator[float]:
    answers = connection.makefile("rb")
    for start in range(0, len(bodies), WINDOW):
        window = bodies[start : start + WINDOW]
        connection.sendall(b"".join(map(_request, window)))
        for _ in window:
            yield _answer(answers)["fraud_probability"]


def _request(body: bytes) -> bytes:
    return b"POST /predict HTTP/1.1\r\nhost: scorer\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _answer(stream: BinaryIO) -> dict:
    status, length = stream.readline(), 0
    while (line := stream.readline().rstrip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = stream.read(length)
    assert status.split(b" ")[1] == b"200", status + body
    return json.loads(body)
