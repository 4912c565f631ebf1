"""The chat over UDP of the examples, as programs: a server, clients, and SIGTERM."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "packages" / "asgi-server" / "examples" / "chat_udp"
# Far more than a step takes, and less than the limit of a test.
LIMIT_SECONDS = 20

needs_sigterm = pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to be handled")


@contextmanager
def program(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLE / name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with program("server.py", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"The chat is at 127\.0\.0\.1:(\d+)\n", line)
        if found is None:
            process.kill()
            raise AssertionError((line, process.communicate()))
        yield process, int(found[1])


class Client:
    """One socket, with answers that are waited for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(LIMIT_SECONDS)
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def say(self, text: str) -> None:
        self.socket.send(text.encode())

    def hear(self) -> str:
        return self.socket.recv(65536).decode()


@needs_sigterm
def test_what_one_says_everybody_hears_until_the_server_is_stopped() -> None:
    with server() as (process, port), Client(port) as ann, Client(port) as bob, Client(port) as cyd:
        ann.say("hello?")
        assert ann.hear() == "first /join NAME"
        ann.say("/join Ann")
        assert ann.hear() == "Ann has joined"
        bob.say("/join Bob")
        assert (ann.hear(), bob.hear()) == ("Bob has joined", "Bob has joined")
        cyd.say("/join Cyd")
        assert [client.hear() for client in (ann, bob, cyd)] == ["Cyd has joined"] * 3

        bob.say("hello")
        assert [client.hear() for client in (ann, bob, cyd)] == ["Bob: hello"] * 3
        cyd.say("/leave")
        assert [client.hear() for client in (ann, bob, cyd)] == ["Cyd has left"] * 3

        process.send_signal(signal.SIGTERM)
        assert {ann.hear(), bob.hear()} == {"goodbye: the server stops"}
        out, err = process.communicate(timeout=LIMIT_SECONDS)

    assert (process.returncode, err) == (0, "")
    assert out == "3 clients, 6 lines, 0 of them dropped\n"


@needs_sigterm
def test_lines_that_came_before_the_signal_are_heard() -> None:
    lines = [str(number) for number in range(50)]
    with server() as (process, port), Client(port) as ann:
        ann.say("/join Ann")
        assert ann.hear() == "Ann has joined"
        for line in lines:
            ann.say(line)
        # Heard, so it has come; those after it are in the server, or in its socket.
        assert ann.hear() == "Ann: 0"
        process.send_signal(signal.SIGTERM)
        heard = []
        while not (text := ann.hear()).startswith("goodbye"):
            heard.append(text)
        out, err = process.communicate(timeout=LIMIT_SECONDS)

    assert (process.returncode, err) == (0, "")
    taken = int(out.split()[2]) - 1
    assert heard == [f"Ann: {line}" for line in lines[1:taken]]


@needs_sigterm
def test_client_prints_what_it_hears_and_leaves_at_goodbye() -> None:
    with (
        server() as (process, port),
        Client(port) as bob,
        program("client.py", "Ann", str(port)) as ann,
    ):
        assert ann.stdin is not None
        assert ann.stdout is not None
        assert ann.stdout.readline() == "Ann has joined\n"
        bob.say("/join Bob")
        assert (bob.hear(), ann.stdout.readline()) == ("Bob has joined", "Bob has joined\n")
        ann.stdin.write("hello\n")
        ann.stdin.flush()
        assert (bob.hear(), ann.stdout.readline()) == ("Ann: hello", "Ann: hello\n")
        process.send_signal(signal.SIGTERM)
        assert ann.stdout.readline() == "goodbye: the server stops\n"
        assert ann.wait(LIMIT_SECONDS) == 0
        assert process.wait(LIMIT_SECONDS) == 0


def test_client_leaves_at_the_end_of_its_input() -> None:
    with server() as (_, port), Client(port) as bob:
        bob.say("/join Bob")
        bob.hear()
        with program("client.py", "Ann", str(port)) as ann:
            assert bob.hear() == "Ann has joined"
            with suppress(BrokenPipeError):
                ann.communicate("", timeout=LIMIT_SECONDS)
            assert ann.returncode == 0
        assert bob.hear() == "Ann has left"
