"""The retries inside a step: how often, after which errors, and with what pauses between them."""

from __future__ import annotations

import pytest
from tenacity import Future, RetryCallState, Retrying

from shared.errors import RemoteError
from worker.failures import retrying
from worker.failures.retrying import LONGEST_PAUSE, TRIES, call_with_retries, call_with_retries_if_untouched


def error(status: int | None, code: str = "Code", retry_after: float | None = 0) -> RemoteError:
    """An error whose server asks for no pause, so that no test waits."""
    return RemoteError("arm", status, code, "why", retry_after)


class Calls:
    """A call that meets errors, one each time, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.left = list(errors)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.left:
            raise self.left.pop(0)
        return "done"


class TestBriefly:
    def test_what_succeeds_is_done_once(self) -> None:
        call = Calls()
        assert (call_with_retries(call), call.made) == ("done", 1)

    def test_what_passes_soon_is_tried_again(self) -> None:
        call = Calls(error(503), error(None, "Unreachable"))
        assert (call_with_retries(call), call.made) == ("done", 3)

    def test_it_is_given_up_after_a_few_tries_with_the_last_error(self) -> None:
        call = Calls(*(error(503, code) for code in ("One", "Two", "Three", "Four")))
        with pytest.raises(RemoteError) as caught:
            call_with_retries(call)
        assert (call.made, caught.value.code) == (TRIES, "Three")

    @pytest.mark.parametrize(
        "lasting",
        [
            error(404, "ResourceNotFound"),
            error(400, "InvalidRequestContent"),
            error(503, retry_after=LONGEST_PAUSE + 1),
            error(409, "ContainerGroupTransitioning"),
            ValueError("a mistake of ours"),
        ],
        ids=str,
    )
    def test_what_does_not_pass_soon_is_not_tried_again(self, lasting: Exception) -> None:
        call = Calls(lasting)
        with pytest.raises(type(lasting)):
            call_with_retries(call)
        assert call.made == 1


class TestBrieflyIfUntouched:
    def test_throttling_is_tried_again(self) -> None:
        call = Calls(error(429, "TooManyRequests"))
        assert (call_with_retries_if_untouched(call), call.made) == ("done", 2)

    @pytest.mark.parametrize(
        "unsure", [error(503), error(None, "Unreachable"), error(500), ValueError("ours")], ids=str
    )
    def test_what_may_have_taken_effect_is_not_repeated(self, unsure: Exception) -> None:
        call = Calls(unsure)
        with pytest.raises(type(unsure)):
            call_with_retries_if_untouched(call)
        assert call.made == 1

    def test_long_throttling_is_left_to_the_queue(self) -> None:
        call = Calls(error(429, "TooManyRequests", retry_after=LONGEST_PAUSE + 1))
        with pytest.raises(RemoteError):
            call_with_retries_if_untouched(call)
        assert call.made == 1


class TestPauses:
    def state(self, attempt: int, failure: Exception) -> RetryCallState:
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = attempt
        state.outcome = Future(attempt)
        state.outcome.set_exception(failure)
        return state

    def test_the_server_decides_if_it_says_how_long(self) -> None:
        assert retrying._wait(self.state(1, error(503, retry_after=1.5))) == 1.5

    @pytest.mark.parametrize(("attempt", "least"), [(1, 0.1), (2, 0.2), (3, 0.4)])
    def test_else_they_grow_a_little_by_chance(self, attempt: int, least: float) -> None:
        for failure in (error(503, retry_after=None), ValueError("ours")):
            assert least <= retrying._wait(self.state(attempt, failure)) <= least + 0.2
