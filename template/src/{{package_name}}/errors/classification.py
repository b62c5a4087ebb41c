"""Tell what kind of failure an exception is.

Each layer registers the exceptions of the library it wraps; an exception nobody registered is a bug until somebody
says otherwise: internal, not retryable and not recoverable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from . import hierarchy
from .groups import principal


class ErrorCategory(StrEnum):
    """What went wrong."""

    VALIDATION = "validation"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    NETWORK = "network"
    SERVICE_UNAVAILABLE = "service_unavailable"
    INTERNAL = "internal"


class ErrorSeverity(StrEnum):
    """How much it matters to the people who run the service."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Classification:
    """The verdict on a kind of exception.

    `retryable`: the same attempt may succeed in a moment. `recoverable`: another source can stand in for it.
    """

    category: ErrorCategory
    severity: ErrorSeverity
    retryable: bool = False
    recoverable: bool = False


class ClassifiedError(NamedTuple):
    """An exception with its verdict and what is known of the circumstances."""

    error: BaseException
    category: ErrorCategory
    severity: ErrorSeverity
    retryable: bool
    recoverable: bool
    context: Mapping[str, Any]


Rule = Classification | Callable[[Any], Classification]

BUG = Classification(ErrorCategory.INTERNAL, ErrorSeverity.MEDIUM)
CLIENT_ERROR = Classification(ErrorCategory.VALIDATION, ErrorSeverity.LOW)
CONFLICT = Classification(ErrorCategory.CONFLICT, ErrorSeverity.LOW)
TIMEOUT = Classification(ErrorCategory.TIMEOUT, ErrorSeverity.MEDIUM, retryable=True, recoverable=True)
NETWORK = Classification(ErrorCategory.NETWORK, ErrorSeverity.HIGH, retryable=True, recoverable=True)
UNAVAILABLE = Classification(ErrorCategory.SERVICE_UNAVAILABLE, ErrorSeverity.HIGH, retryable=True, recoverable=True)
REFUSED = Classification(ErrorCategory.SERVICE_UNAVAILABLE, ErrorSeverity.MEDIUM, recoverable=True)
THROTTLED = Classification(ErrorCategory.RATE_LIMIT, ErrorSeverity.MEDIUM, retryable=True, recoverable=True)
OVERLOADED = Classification(ErrorCategory.SERVICE_UNAVAILABLE, ErrorSeverity.MEDIUM)
EXHAUSTED = Classification(ErrorCategory.SERVICE_UNAVAILABLE, ErrorSeverity.HIGH)
DEFECT = Classification(ErrorCategory.INTERNAL, ErrorSeverity.CRITICAL)

OWN_RULES: Mapping[type[BaseException], Rule] = {
    hierarchy.ApplicationError: BUG,
    hierarchy.ValidationError: CLIENT_ERROR,
    hierarchy.AuthenticationError: Classification(ErrorCategory.AUTHENTICATION, ErrorSeverity.LOW),
    hierarchy.AuthorizationError: Classification(ErrorCategory.AUTHORIZATION, ErrorSeverity.MEDIUM),
    hierarchy.NotFoundError: Classification(ErrorCategory.NOT_FOUND, ErrorSeverity.LOW),
    hierarchy.ConflictError: CONFLICT,
    hierarchy.UnprocessableError: CLIENT_ERROR,
    # Our own refusal of a client is not an upstream's throttling of us: trying again here makes it worse.
    hierarchy.RateLimitError: Classification(ErrorCategory.RATE_LIMIT, ErrorSeverity.LOW),
    hierarchy.OverloadedError: OVERLOADED,
    hierarchy.ServiceUnavailableError: UNAVAILABLE,
    hierarchy.OperationTimeoutError: TIMEOUT,
    hierarchy.CircuitBreakerOpenError: REFUSED,
    hierarchy.FallbackError: EXHAUSTED,
    hierarchy.FallbackChainExhaustedError: EXHAUSTED,
    # What was isolated is nobody's expectation: no older answer may hide it.
    hierarchy.IsolatedError: BUG,
    # The interpreter's own. In asyncio a timeout is the builtin TimeoutError.
    TimeoutError: TIMEOUT,
    ConnectionError: NETWORK,
    MemoryError: DEFECT,
    RecursionError: DEFECT,
    Exception: BUG,
    # Cancellation and the end of the process are no failures; whoever classifies them must not act on them.
    BaseException: BUG,
}


class ErrorClassifier:
    """Maps exceptions to verdicts by the most specific class that has a rule."""

    def __init__(self) -> None:
        self._rules: dict[type[BaseException], Rule] = {**OWN_RULES, ExceptionGroup: self._of_group}
        self._found: dict[type[BaseException], Rule] = {}

    def register(self, kind: type[BaseException], rule: Rule) -> None:
        """Give `kind` and its subclasses a verdict, or a function from the exception to one."""
        self._rules[kind] = rule
        self._found.clear()

    def rule_for(self, kind: type[BaseException]) -> tuple[type[BaseException], Rule]:
        """The class in the ancestry of `kind` whose rule applies, and the rule."""
        return next((base, self._rules[base]) for base in kind.__mro__ if base in self._rules)

    def verdict(self, error: BaseException) -> Classification:
        """The verdict on `error` alone, for where nothing of the circumstances matters and every failure comes by."""
        kind = type(error)
        rule = self._found.get(kind)
        if rule is None:
            rule = self._found[kind] = self.rule_for(kind)[1]
        return rule if isinstance(rule, Classification) else rule(error)

    def _of_group(self, group: ExceptionGroup[Exception]) -> Classification:
        error = principal(group)
        return BUG if error is group else self.verdict(error)

    def classify(self, error: BaseException, context: Mapping[str, Any] | None = None) -> ClassifiedError:
        """Classify `error`; an ApplicationError brings its own context along."""
        verdict = self.verdict(error)
        own = error.context if isinstance(error, hierarchy.ApplicationError) else {}
        return ClassifiedError(
            error,
            verdict.category,
            verdict.severity,
            verdict.retryable,
            verdict.recoverable,
            {**own, **(context or {})},
        )
