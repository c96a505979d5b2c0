"""Trouble on demand: what a request meets instead of, before or after its normal answer."""

from dataclasses import dataclass
from random import Random

from .messages import Answer, ArmError, GroupKey, Json
from .options import group_matches

_ERRORS: dict[str, tuple[int, str, str]] = {
    "throttle": (429, "TooManyRequests", "Too many requests. Please try again later."),
    "conflict": (409, "ContainerGroupTransitioning", "The container group is still transitioning, please retry later."),
    "error": (500, "InternalServerError", "The server met an internal error. Please retry the request."),
    "error-after": (500, "InternalServerError", "The server met an internal error. Please retry the request."),
    "refuse": (403, "AuthorizationFailed", "The client does not have authorization to perform this action."),
}
KINDS = (*_ERRORS, "reset", "reset-after", "stall")
_FILTERS_AND_DETAILS: dict[str, type | tuple[type, ...]] = {
    "status": int,
    "code": str,
    "message": str,
    "details": str,
    "retry_after": (int, float),
    "method": str,
    "group": str,
    "route": str,
    "times": int,
    "rate": (int, float),
    "seconds": (int, float),
    "name": str,
}


@dataclass
class Fault:
    """One kind of trouble, and the requests that meet it. What isn't given takes the default of its kind."""

    fault: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    details: str | None = None
    """Codes of errors that this one wraps, with commas between them; `Outer/Inner` where one wraps another."""
    retry_after: float | None = None
    method: str | None = None
    group: str | None = None
    route: str | None = None
    """The kind of request, as arm.Target has it: `group`, `logs`, `list` and so on."""
    times: int | None = None
    """How many requests still meet it; None: every one."""
    rate: float = 1.0
    seconds: float = 30.0
    """How long a stall lasts."""
    name: str = ""
    """By which it can be taken away again without the others."""

    @property
    def takes_effect(self) -> bool:
        """Whether the request is carried out although its answer is bad, lost or late."""
        return self.fault in ("error-after", "reset-after", "stall")

    @property
    def hangs_up(self) -> bool:
        """Whether the connection is closed without an answer."""
        return self.fault in ("reset", "reset-after")

    @property
    def delay(self) -> float:
        """Seconds before the request is carried out."""
        return self.seconds if self.fault == "stall" else 0.0

    def answer(self) -> Answer | None:
        """The answer in place of the normal one, or None if the fault has no answer of its own."""
        if self.fault not in _ERRORS:
            return None
        status, code, message = _ERRORS[self.fault]
        retry_after = 1.0 if self.fault == "throttle" and self.retry_after is None else self.retry_after
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        details = tuple(self.details.split(",")) if self.details else ()
        error = ArmError(self.status or status, self.code or code, self.message or message, headers, details)
        return Answer.of_error(error)

    def means(self, method: str, key: GroupKey | None, route: str = "") -> bool:
        if self.times == 0 or (self.method and self.method.upper() != method):
            return False
        if self.route and self.route != route:
            return False
        return self.group is None or (key is not None and group_matches(key, self.group))


def fault_of(body: Json) -> Fault:
    """The fault that a control request describes. Raises ArmError (400) if it makes no sense."""
    kind = body.get("fault")
    if kind not in KINDS:
        raise ArmError(400, "InvalidFault", f"unknown fault {kind!r}; the faults are {', '.join(KINDS)}")
    for name, value in body.items():
        if name == "fault":
            continue
        if name not in _FILTERS_AND_DETAILS:
            known = ", ".join(_FILTERS_AND_DETAILS)
            raise ArmError(400, "InvalidFault", f"unknown member {name!r}; a fault may have {known}")
        if value is not None and not isinstance(value, _FILTERS_AND_DETAILS[name]):
            raise ArmError(400, "InvalidFault", f"{name!r} can't be {value!r}")
    return Fault(**{name: value for name, value in body.items() if value is not None})


class Faults:
    """The faults in force, in the order given: a request meets the first that means it. Not thread-safe."""

    def __init__(self, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._dice = Random(seed)

    def seed(self, seed: int) -> None:
        self._dice = Random(seed)

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self, name: str | None = None) -> None:
        """Takes away the faults of this name, or all."""
        self._faults = [fault for fault in self._faults if name is not None and fault.name != name]

    def draw(self, method: str, key: GroupKey | None, route: str = "") -> Fault | None:
        """The fault that this request meets, if any; counts it as met."""
        for fault in self._faults:
            if not fault.means(method, key, route) or (fault.rate < 1 and self._dice.random() >= fault.rate):
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None
