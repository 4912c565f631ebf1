"""The command line: `worker` runs one worker, `load` sends messages and measures.

Exit status: 0, done; 2, it cannot run like that; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import socket
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# `python path/to/redis_streams` puts this folder on the path, and not the one that has the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker or the load; return the exit status."""
    options = _parse(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    os.environ["REDIS_URL"] = options.redis  # for the application
    try:
        options.command(options)
    except ModuleNotFoundError as error:
        return _end(f"{error}; `hatch run python ...` has what this needs", 2)
    except KeyboardInterrupt:
        return _end("stopped by Ctrl-C", 130)
    except (OSError, ValueError) as error:
        return _end(str(error), 2)
    return 0


def _work(options: argparse.Namespace) -> None:
    from redis_streams.broker import Broker
    from redis_streams.names import Names
    from redis_streams.worker import StreamWorker

    names = Names(options.prefix, options.partitions)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    worker = StreamWorker(
        _imported(options.application),
        Broker(options.redis, names, name, lease=options.lease),
        window=options.window,
        max_deliveries=options.max_deliveries,
        grace=options.grace,
        max_applications=max(options.max_applications, options.window * options.partitions),
    )
    worker.run()


def _load(options: argparse.Namespace) -> None:
    from redis.exceptions import ConnectionError as RedisConnectionError

    from redis_streams import load
    from redis_streams.names import Names

    names = Names(options.prefix, options.partitions)
    try:
        asyncio.run(load.run(options.redis, names, options.messages, options.scopes))
    except* RedisConnectionError as errors:
        raise OSError(f"cannot use {options.redis}: {errors.exceptions[0]}") from None


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise ValueError(f"an application is given as module:name; not found: {path!r}") from None


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="redis_streams",
        description="ASGI applications behind Redis Streams. See README.md.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--redis", metavar="URL", default="redis://localhost:6379", help="server")
    parser.add_argument("--prefix", default="accounts", help="what all keys begin with")
    parser.add_argument("--partitions", type=_count, default=8, help="the same for all")
    commands = parser.add_subparsers(required=True, metavar="worker | load")

    worker = commands.add_parser(
        "worker",
        help="run a worker, until SIGINT or SIGTERM",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    worker.set_defaults(command=_work)
    accounts = "redis_streams.accounts:application"
    worker.add_argument("--application", metavar="MODULE:NAME", default=accounts, help="to run")
    worker.add_argument(
        "--lease", type=_seconds, default=10, help="seconds until it counts as dead"
    )
    worker.add_argument("--window", type=_count, default=100, help="messages read ahead")
    worker.add_argument(
        "--max-deliveries", type=_two_or_more, default=5, help="of a message that fails"
    )
    worker.add_argument("--max-applications", type=_count, default=10_000, help="instances kept")
    worker.add_argument("--grace", type=_seconds, default=5, help="seconds to finish in a stop")

    sending = commands.add_parser(
        "load",
        help="send messages, and measure how fast they are answered",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    sending.set_defaults(command=_load)
    sending.add_argument("--messages", type=_two_or_more, default=20_000, help="how many")
    sending.add_argument("--scopes", type=_count, default=1_000, help="to how many scopes")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more is needed, not {text!r}")
    return int(text)


def _two_or_more(text: str) -> int:
    if _count(text) < 2:
        raise argparse.ArgumentTypeError("at least 2 are needed")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is needed, not {text!r}")
    return seconds


def _end(line: str, status: int) -> int:
    print(f"redis_streams: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
