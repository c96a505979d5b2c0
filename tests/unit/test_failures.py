"""classify and Retry: what to make of an error, how often to try again, and when."""

from __future__ import annotations

import random

import pytest

from shared.errors import RemoteError
from worker.failures.classify import (
    SHORT,
    Failure,
    Permanent,
    Retry,
    Transient,
    classify,
    is_circumstance,
    nothing_done,
    passes,
)

RETRY = Retry(max_attempts=8, base=5, longest=600)


def error(status: int | None, code: str, text: str = "so it was", retry_after: float | None = None) -> RemoteError:
    return RemoteError("arm", status, code, text, retry_after)


def said(status: int | None, code: str, text: str = "so it was") -> str:
    return str(error(status, code, text))


def passing(
    status: int | None,
    code: str,
    retry_after: float | None = None,
    limit: int | None = None,
    *,
    circumstance: bool = True,
    pause: float = 0,
) -> Transient:
    return Transient(code, said(status, code), retry_after, limit, circumstance and limit is None, pause)


@pytest.mark.parametrize(
    ("status", "code", "retry_after", "failure"),
    [
        (429, "TooManyRequests", 17, passing(429, "TooManyRequests", 17)),
        (429, "Http429", None, passing(429, "Http429")),
        (409, "SubscriptionRequestsThrottled", 3, passing(409, "SubscriptionRequestsThrottled", 3)),
        (403, "OperationNotAllowedThrottled", None, passing(403, "OperationNotAllowedThrottled")),
        (409, "ContainerGroupTransitioning", None, passing(409, "ContainerGroupTransitioning", pause=10)),
        (409, "ContainerGroupTransitioning", 60, passing(409, "ContainerGroupTransitioning", 60, pause=10)),
        (409, "ContainerGroupQuotaReached", None, passing(409, "ContainerGroupQuotaReached", pause=60)),
        (409, "ContainerGroupQuotaReached", 300, passing(409, "ContainerGroupQuotaReached", 300, pause=60)),
        (400, "InaccessibleImage", None, passing(400, "InaccessibleImage")),
        (403, "AnyRole", None, passing(403, "AnyRole")),
        (400, "ResourceQuotaExceeded", None, passing(400, "ResourceQuotaExceeded", pause=60)),
        (400, "InsufficientCapacity", None, passing(400, "InsufficientCapacity", pause=60)),
        (
            403,
            "RequestDisallowedByPolicy",
            None,
            Permanent("RequestDisallowedByPolicy", said(403, "RequestDisallowedByPolicy")),
        ),
        (403, "AuthorizationFailed", 9, passing(403, "AuthorizationFailed", 9)),
        (403, "LinkedAuthorizationFailed", None, passing(403, "LinkedAuthorizationFailed")),
        # A missing role is waited for whatever the status is.
        (404, "AuthorizationFailure", 9, passing(404, "AuthorizationFailure", 9)),
        (404, "ManifestUnknown", None, passing(404, "ManifestUnknown", limit=SHORT)),
        (404, "ManifestUnknown", 9, passing(404, "ManifestUnknown", 9, limit=SHORT)),
        (404, "SecretUnavailable", 9, passing(404, "SecretUnavailable", 9, circumstance=False)),
        (400, "RegistryErrorResponse", None, passing(400, "RegistryErrorResponse")),
        (409, "ServiceUnavailable", 7, passing(409, "ServiceUnavailable", 7)),
        (400, "InternalServerError", None, passing(400, "InternalServerError")),
        (400, "ServerTimeout", None, passing(400, "ServerTimeout")),
        (200, "BadGateway", None, passing(200, "BadGateway")),
        *((status, "Other", None, passing(status, "Other")) for status in (None, 401, 408, 409, 412, 500, 502, 599)),
        *((status, "Other", None, Permanent("Other", said(status, "Other"))) for status in (400, 404, 413, 499)),
        (404, "ResourceNotFound", None, Permanent("ResourceNotFound", said(404, "ResourceNotFound"))),
        *(
            (status, code, 5, Permanent(code, said(status, code)))
            for status in (400, 403, 409, 500)
            for code in ("InvalidContainerGroupUpdate", "InvalidStorageAccountKey", "RequestDisallowedByPolicy")
        ),
    ],
)
def test_what_to_make_of_an_error(status: int | None, code: str, retry_after: float | None, failure: Failure) -> None:
    assert classify(error(status, code, retry_after=retry_after)) == failure


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("TooManyRequests", "TooManyRequests"),
        ("InaccessibleImage", "InaccessibleImage"),
        ("RegistryErrorResponse", "RegistryErrorResponse"),
        ("ContainerGroupQuotaReached", "ContainerGroupQuotaReached"),
        ("ContainerGroupTransitioning", "ContainerGroupTransitioning"),
        ("SomethingElse", "MultipleErrorsOccurred"),
    ],
)
def test_several_errors_are_taken_for_the_one_that_is_known(inner: str, code: str) -> None:
    failure = classify(error(400, "MultipleErrorsOccurred", f"Multiple errors occurred: '{inner}': 'text'."))
    assert failure.code == code
    assert isinstance(failure, Permanent) == (inner == "SomethingElse")
    assert inner in failure.detail


def test_of_several_known_errors_the_first_by_name_counts() -> None:
    text = "'RegistryErrorResponse': 'x', 'InaccessibleImage': 'y'"
    assert classify(error(400, "MultipleErrorsOccurred", text)).code == "InaccessibleImage"


def test_of_several_errors_one_for_good_is_enough() -> None:
    text = "'RegistryErrorResponse': 'x', 'InvalidEnvironmentVariable': 'y'"
    assert isinstance(classify(error(409, "MultipleErrorsOccurred", text)), Permanent)


@pytest.mark.parametrize(
    ("code", "inner", "made"),
    [
        ("MultipleErrorsOccurred", ("RegistryErrorResponse",), "RegistryErrorResponse"),
        ("MultipleErrorsOccurred", ("MultipleErrorsOccurred", "InaccessibleImage"), "InaccessibleImage"),
        ("BadRequest", ("RegistryErrorResponse", "InaccessibleImage"), "RegistryErrorResponse"),
        ("BadRequest", ("RegistryErrorResponse", "ManifestUnknown"), "ManifestUnknown"),
        ("BadRequest", ("RegistryErrorResponse", "SecretUnavailable"), "SecretUnavailable"),
        ("BadRequest", ("SecretUnavailable", "ManifestUnknown"), "ManifestUnknown"),
        ("BadRequest", ("ManifestUnknown", "InvalidEnvironmentVariable"), None),
        ("BadRequest", ("", "ContainerGroupQuotaReached"), "ContainerGroupQuotaReached"),
        ("BadRequest", ("RegistryErrorResponse", "InvalidEnvironmentVariable"), None),
        ("BadRequest", ("RegistryErrorResponse", "SomethingElse"), None),
        ("BadRequest", ("Conflict/ContainerGroupTransitioning",), "ContainerGroupTransitioning"),
        ("MultipleErrorsOccurred", ("InaccessibleImage/DockerRegistryError",), "InaccessibleImage"),
        ("MultipleErrorsOccurred", ("MultipleErrorsOccurred/InaccessibleImage/",), "InaccessibleImage"),
        ("BadRequest", ("SomeQuotaExceeded/Details",), "SomeQuotaExceeded"),
        ("BadRequest", ("Conflict/SomethingElse", "RegistryErrorResponse"), None),
        ("BadRequest", ("InvalidEnvironmentVariable/RegistryErrorResponse",), None),
        ("BadRequest", (), None),
        ("InvalidRequestContent", ("RegistryErrorResponse",), None),
    ],
)
def test_codes_that_stand_in_the_details_alone(code: str, inner: tuple[str, ...], made: str | None) -> None:
    failure = classify(RemoteError("arm", 400, code, "see details", inner=inner))
    assert isinstance(failure, Permanent) is (made is None)
    assert made in {None, failure.code}


@pytest.mark.parametrize(("service", "circumstance"), [("arm", False), ("key vault", True), ("registry", True)])
def test_what_is_wrong_elsewhere_says_nothing_of_the_image(service: str, *, circumstance: bool) -> None:
    failure = classify(RemoteError(service, 404, "SecretNotFound", "no such secret"))
    assert isinstance(failure, Permanent)
    assert is_circumstance(failure) is circumstance


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(Permanent("c", "d"), False), (Transient("c", "d"), True), (Transient("c", "d", limit=3), False)],
)
def test_what_passes_by_itself(failure: Failure, *, expected: bool) -> None:
    assert passes(failure) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, True),
        (409, True),
        (429, True),
        (408, False),
        (500, False),
        (503, False),
        (None, False),
        (399, False),
        (200, False),
    ],
)
def test_after_which_answers_a_group_is_certainly_as_it_was(status: int | None, *, expected: bool) -> None:
    assert nothing_done(error(status, "Any")) is expected


def test_what_failed_before_azure_was_asked_changed_nothing() -> None:
    assert nothing_done(RemoteError("secrets", None, "SecretUnavailable", "no"))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Permanent("CrashLoop", "d"), False),
        (Permanent("MissingSecrets", "d"), True),
        (Transient("Http503", "d", circumstance=True), True),
        (Transient("InaccessibleImage", "d", limit=3), False),
        (Transient("SecretUnavailable", "d"), True),
    ],
)
def test_what_says_nothing_of_the_image_may_be_pushed_again(failure: Failure, *, expected: bool) -> None:
    assert is_circumstance(failure) is expected


def test_an_inner_code_counts_only_where_several_errors_are_wrapped() -> None:
    assert isinstance(classify(error(400, "InvalidRequestContent", "about 'InaccessibleImage'")), Permanent)


def test_a_code_in_the_message_of_another_error_does_not_count() -> None:
    assert classify(error(400, "BadRequest", "'ServiceUnavailable': 'x'")).code == "BadRequest"


def test_what_nobody_foresaw_is_tried_again() -> None:
    assert classify(KeyError("web")) == Transient("KeyError", "'web'")
    assert classify(ValueError()) == Transient("ValueError", "ValueError")


class TestIsOver:
    @pytest.mark.parametrize(
        ("failure", "attempts", "over"),
        [
            (Permanent("c", "d"), 0, True),
            (Transient("c", "d"), 7, False),
            (Transient("c", "d"), 8, True),
            (Transient("c", "d"), 9, True),
            (Transient("c", "d", limit=3), 2, False),
            (Transient("c", "d", limit=3), 3, True),
            (Transient("c", "d", limit=99), 8, True),
            (Transient("c", "d", circumstance=True), 99, False),
        ],
    )
    def test_is_over(self, failure: Failure, attempts: int, *, over: bool) -> None:
        assert RETRY.is_over(failure, attempts) is over

    def test_a_circumstance_is_tried_for_hours(self) -> None:
        outage = Transient("c", "d", circumstance=True)
        assert not RETRY.is_over(outage, 99, waited=21599.0)
        assert RETRY.is_over(outage, 1, waited=21600.0)


class Highest(random.Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return a * 0 + b


class TestDelay:
    @pytest.mark.parametrize(
        ("attempts", "bound"), [(0, 5), (1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (9, 600), (10**6, 600)]
    )
    def test_the_bound_doubles_up_to_the_longest(self, attempts: int, bound: float) -> None:
        assert RETRY.delay(Transient("c", "d"), attempts, Highest()) == bound

    def test_the_jitter_is_full(self) -> None:
        delays = [RETRY.delay(Transient("c", "d"), 4, random.Random(seed)) for seed in range(200)]
        assert 0 <= min(delays) < 1
        assert 39 < max(delays) <= 40

    @pytest.mark.parametrize(("attempts", "delay"), [(1, 18), (9, 18)])
    def test_a_retry_after_wins(self, attempts: int, delay: float) -> None:
        assert RETRY.delay(Transient("c", "d", retry_after=17), attempts, Highest()) == delay

    @pytest.mark.parametrize(("retry_after", "delay"), [(None, 10), (3, 4), (17, 18)])
    def test_a_pause_is_the_least_where_the_server_names_none(self, retry_after: float | None, delay: float) -> None:
        assert RETRY.delay(Transient("c", "d", retry_after, pause=10), 1, Highest()) == delay

    def test_the_delay_keeps_growing_beyond_the_pause_that_an_error_asks_for(self) -> None:
        # Regression: a group in transition was tried eight times in 80 seconds, and given up.
        assert RETRY.delay(Transient("c", "d", pause=10), 7, Highest()) == 320

    def test_a_retry_after_of_nothing_is_one_too(self) -> None:
        assert RETRY.delay(Transient("c", "d", retry_after=0), 9, Highest()) == 1

    def test_the_bound_does_not_overflow(self) -> None:
        assert Retry(8, 1, 1e12).delay(Transient("c", "d"), 10**6, Highest()) == 2**30
