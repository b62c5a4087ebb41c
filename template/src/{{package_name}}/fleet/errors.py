"""What redis-py raises. None of it reaches a request of ours: it is for code of yours that uses Redis for more."""

from redis import exceptions

from ..errors.classification import BUG, NETWORK, TIMEOUT, UNAVAILABLE, Classification, ErrorClassifier

_VERDICTS: dict[type[Exception], Classification] = {
    exceptions.RedisError: BUG,
    exceptions.ConnectionError: NETWORK,
    exceptions.TimeoutError: TIMEOUT,
    exceptions.BusyLoadingError: UNAVAILABLE,
    exceptions.MaxConnectionsError: UNAVAILABLE,
    exceptions.OutOfMemoryError: UNAVAILABLE,
    exceptions.ReadOnlyError: UNAVAILABLE,
    exceptions.ClusterDownError: UNAVAILABLE,
    exceptions.TryAgainError: UNAVAILABLE,
    # Connection errors by class, and wrong settings in fact.
    exceptions.AuthenticationError: BUG,
    exceptions.AuthorizationError: BUG,
    # Those that do not descend from RedisError.
    exceptions.ChildDeadlockedError: BUG,
    exceptions.IncorrectPolicyType: BUG,
    exceptions.RedisClusterException: BUG,
}


def register_errors(classifier: ErrorClassifier) -> None:
    """Tell the classifier of the exceptions that redis-py raises."""
    for kind, verdict in _VERDICTS.items():
        classifier.register(kind, verdict)
