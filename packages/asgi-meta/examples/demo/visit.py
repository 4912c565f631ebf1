"""A request to the server, and the answer with the trail of the server's functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from demo import trail
from demo.account import Account
from demo.serving import CollectedLog


@dataclass(frozen=True)
class Answer:
    """What came back for one request: the trail is that of the server's functions."""

    request_id: str
    response: httpx.Response
    content: dict[str, Any]
    steps: list[trail.Step]

    @property
    def id_is_intact(self) -> bool:
        """Whether all functions, and the middleware at the end, saw the id that was sent."""
        seen = {step.request_id for step in self.steps} | {self.response.headers["x-request-id"]}
        return seen == {self.request_id}

    def threads(self, kind: str) -> set[int]:
        """Return the threads in which code of a kind ran, "sync" or "async"."""
        return {step.thread_id for step in self.steps if step.kind == kind}


@dataclass(frozen=True)
class Visit:
    """What every section needs."""

    client: httpx.AsyncClient
    log: CollectedLog
    account: Account

    async def ask(self, method: str, path: str, request_id: str, **content: Any) -> Answer:
        """Send a request; the answer is one that tells of its steps."""
        response = await self.client.request(
            method, path, headers={"x-request-id": request_id}, **content
        )
        response.raise_for_status()
        told = response.json()
        return Answer(request_id, response, told, trail.from_json(told.pop("steps")))
