"""Choose how to go on after a classified failure."""

from enum import Enum

from .classification import Classification, ClassifiedError, ErrorCategory, ErrorSeverity


class RecoveryStrategy(Enum):
    """The ways to go on."""

    RETRY = "retry"
    FALLBACK = "fallback"
    DEGRADE = "degrade"
    CIRCUIT_BREAKER = "circuit_breaker"
    ESCALATE = "escalate"


class RecoverySelector:
    """The first rule that fits decides, from the cheapest remedy to the most expensive."""

    def select_strategy(self, classified: ClassifiedError | Classification) -> RecoveryStrategy:
        """Pick one strategy; `ESCALATE` hands the error to the caller as it is."""
        if classified.retryable:
            return RecoveryStrategy.RETRY
        if classified.recoverable:
            return RecoveryStrategy.FALLBACK
        if classified.severity is ErrorSeverity.CRITICAL:
            return RecoveryStrategy.ESCALATE
        if classified.category is ErrorCategory.SERVICE_UNAVAILABLE:
            return RecoveryStrategy.DEGRADE
        if classified.severity is ErrorSeverity.HIGH:
            return RecoveryStrategy.CIRCUIT_BREAKER
        return RecoveryStrategy.ESCALATE
