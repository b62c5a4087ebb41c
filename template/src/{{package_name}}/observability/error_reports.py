"""One place where a handled error is classified, counted and, from 500 on, logged."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors.classification import ClassifiedError, ErrorClassifier
from .lines import add_circumstances
from .logs import write_lines
from .redaction import redact


class ErrorReport(NamedTuple):
    """A handled error.

    Args:
        classified: the error and its verdict.
        status: the HTTP status of the answer; 500 too where the answer had already begun with another.
        duration: seconds that classifying and logging took.
    """

    classified: ClassifiedError
    status: int
    duration: float


ErrorObserver = Callable[[ErrorReport], None]


class ErrorReporter:
    """Classifies errors, logs those that are our fault and tells the observers of all."""

    def __init__(
        self,
        classifier: ErrorClassifier,
        *,
        logging_enabled: bool = True,
        observers: Sequence[ErrorObserver] = (),
    ) -> None:
        self._classifier = classifier
        self._logging_enabled = logging_enabled
        self._observers = observers

    def report(self, error: BaseException, status: int) -> None:
        """Report `error`, answered with `status`. A 4xx answer leaves no record beside its access line."""
        begin = time.perf_counter()
        classified = self._classifier.classify(error)
        if status >= 500 and self._logging_enabled:
            write_lines(__name__, [("error", time.time(), _record(classified, status))])
        report = ErrorReport(classified, status, time.perf_counter() - begin)
        for observe in self._observers:
            observe(report)


def _record(classified: ClassifiedError, status: int) -> dict[str, Any]:
    """The fields of the record; all but the context is ours, and holds no secret."""
    fields: dict[str, Any] = {
        "event": "request failed",
        "status": status,
        "error_type": type(classified.error).__name__,
        "category": classified.category,
        "severity": classified.severity,
        "context": redact(classified.context),
    }
    add_circumstances(fields, classified.error)
    return fields
