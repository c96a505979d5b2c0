"""Malformed and hostile requests: each gets its 4xx problem, none a 5xx, and nothing is enqueued."""

from __future__ import annotations

import pytest

from tests.hostile_requests import REQUESTS, Hostile
from tests.ingress_harness import TOKEN, RecordingQueue, client_for


def test_there_are_enough_of_them() -> None:
    assert len(REQUESTS) >= 40
    assert len({str(request) for request in REQUESTS}) == len(REQUESTS)


@pytest.mark.parametrize("hostile", REQUESTS, ids=str)
def test_hostile_request(hostile: Hostile) -> None:
    queue = RecordingQueue()
    answer = client_for(queue).post(hostile.path, data=hostile.body, headers=hostile.headers)
    text = answer.get_data(as_text=True)
    assert answer.status_code == hostile.status, text
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json()
    assert problem["status"] == hostile.status
    assert hostile.detail in problem["detail"]
    assert len(text) < 1000
    assert TOKEN not in text
    assert "Traceback" not in text
    assert queue.sent == []
