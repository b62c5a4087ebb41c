"""Every exception this service raises on purpose.

ApplicationError                    500
├── ValidationError                 400
├── AuthenticationError             401
├── AuthorizationError              403
├── NotFoundError                   404
├── ConflictError                   409
├── UnprocessableError              422
├── RateLimitError                  429
├── OverloadedError                 503
├── ServiceUnavailableError         503
├── OperationTimeoutError           504
├── CircuitBreakerOpenError         503
├── FallbackError                   503
├── FallbackChainExhaustedError     503
└── IsolatedError                   500

An error has two faces. `str(error)`, `context` and the chain of causes are for the log. `to_dict()` is for the client:
below 500 it holds the message and the context keys the class declares public, from 500 on a constant text.
A message of a 4xx error must not repeat what the client sent.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self


class ApplicationError(Exception):
    """The root of the hierarchy; raise one of its subclasses where one fits.

    Args:
        message: one sentence for the log and, below 500, for the client.
        status_code: the HTTP status of the answer; the class's own when omitted.
        code: a stable name for programs, in snake_case; the class's own when omitted.
        context: facts for the log; further keyword arguments are added to it.
        cause: the exception that led to this one, as `raise … from cause` sets it.
        retry_after: seconds until a new attempt makes sense, sent as `Retry-After`, rounded up.
    """

    status_code: int = 500
    code: str = "internal_error"
    public_text: ClassVar[str] = "Internal server error"
    public_context: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        *,
        code: str | None = None,
        context: Mapping[str, Any] | None = None,
        cause: BaseException | None = None,
        retry_after: float | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.context: dict[str, Any] = details if context is None else {**context, **details}
        if status_code is not None:
            self.status_code = status_code
        if code is not None:
            self.code = code
        if cause is not None:
            self.__cause__ = cause

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle, as a worker process does, by what it has become, not by the arguments that made it."""
        return _restore, (type(self), self.args, self.__dict__)

    @property
    def message(self) -> str:
        """One sentence for the log and, below 500, for the client."""
        return str(self)

    @property
    def cause(self) -> BaseException | None:
        """The exception that led to this one."""
        return self.__cause__

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the answer."""
        if self.retry_after is None or not math.isfinite(self.retry_after):
            return {}
        return {"Retry-After": str(max(0, math.ceil(self.retry_after)))}

    def enrich(self, **context: Any) -> Self:
        """Add facts to the context on the way up; what the raiser said stands."""
        self.context = {**context, **self.context}
        return self

    def to_dict(self) -> dict[str, Any]:
        """What a client may see: `type`, `code`, `message` and, if any is public, `context`."""
        public: dict[str, Any] = {"type": type(self).__name__, "code": self.code}
        if self.status_code >= 500:
            return public | {"message": self.public_text}
        context = {key: self.context[key] for key in sorted(self.public_context) if self.context.get(key) is not None}
        return public | {"message": self.message} | ({"context": context} if context else {})


def _restore(kind: type[ApplicationError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ApplicationError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class ValidationError(ApplicationError):
    """The request is well formed but a rule of the domain refuses it.

    Args:
        field: the name of the offending field, shown to the client.
    """

    status_code = 400
    code = "validation_error"
    public_context = frozenset({"field"})

    def __init__(self, message: str, field: str | None = None, **details: Any) -> None:
        super().__init__(message, field=field, **details)


class AuthenticationError(ApplicationError):
    """Nobody knows who is asking; `scheme` names what would help, in `WWW-Authenticate`."""

    status_code = 401
    code = "authentication_required"

    def __init__(self, message: str = "Authentication is required", *, scheme: str = "Bearer", **details: Any) -> None:
        super().__init__(message, **details)
        self.scheme = scheme

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "WWW-Authenticate": self.scheme}


class AuthorizationError(ApplicationError):
    """We know who is asking, and the answer is no."""

    status_code = 403
    code = "forbidden"

    def __init__(self, message: str = "This is not allowed", **details: Any) -> None:
        super().__init__(message, **details)


class NotFoundError(ApplicationError):
    """There is no such thing; the id stays in the context, for it came from the client."""

    status_code = 404
    code = "not_found"
    public_context = frozenset({"resource_type"})

    def __init__(self, resource_type: str, resource_id: str, **details: Any) -> None:
        super().__init__(f"{resource_type} not found", resource_type=resource_type, resource_id=resource_id, **details)


class ConflictError(ApplicationError):
    """The request contradicts the present state.

    Args:
        field: where, if that is known.
        value: what was refused; it stays in the context, for it came from the client.
    """

    status_code = 409
    code = "conflict"
    public_context = frozenset({"resource_type", "field"})

    def __init__(self, resource_type: str, field: str | None = None, value: Any = None, **details: Any) -> None:
        super().__init__(
            f"{resource_type} conflicts with the present state" + (f" in {field}" if field else ""),
            resource_type=resource_type,
            field=field,
            value=value,
            **details,
        )


class UnprocessableError(ApplicationError):
    """The request is understood and can never succeed as it is."""

    status_code = 422
    code = "unprocessable"
    public_context = frozenset({"field"})

    def __init__(self, message: str, field: str | None = None, **details: Any) -> None:
        super().__init__(message, field=field, **details)


class RateLimitError(ApplicationError):
    """The client asks more often than it may."""

    status_code = 429
    code = "rate_limited"

    def __init__(self, message: str = "Too many requests", *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, retry_after=retry_after, **details)


class OverloadedError(ApplicationError):
    """This service itself has no room left and refuses work to stay alive."""

    status_code = 503
    code = "overloaded"
    public_text = "The service is overloaded"

    def __init__(self, message: str = "No capacity left", *, retry_after: float | None = 1.0, **details: Any) -> None:
        super().__init__(message, retry_after=retry_after, **details)


class ServiceUnavailableError(ApplicationError):
    """Something this service needs cannot do its part at the moment."""

    status_code = 503
    code = "service_unavailable"
    public_text = "The service is temporarily unavailable"

    def __init__(self, service_name: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(
            f"Service '{service_name}' is temporarily unavailable",
            retry_after=retry_after,
            service_name=service_name,
            **details,
        )


class OperationTimeoutError(ApplicationError):
    """An operation took longer than it was given.

    Args:
        operation: what was attempted.
        timeout: seconds it was given.
    """

    status_code = 504
    code = "timeout"
    public_text = "The operation timed out"

    def __init__(self, operation: str, timeout: float, **details: Any) -> None:
        super().__init__(
            f"Operation '{operation}' timed out after {timeout:g}s",
            operation=operation,
            timeout=timeout,
            **details,
        )


class CircuitBreakerOpenError(ApplicationError):
    """The circuit breaker refuses calls until its service has had time to recover."""

    status_code = 503
    code = "circuit_open"
    public_text = "The service is temporarily unavailable"

    def __init__(self, service_name: str, retry_after: float | None = None, **details: Any) -> None:
        if details:
            super().__init__("", retry_after=retry_after, service_name=service_name, **details)
            return
        # Every call of an open circuit raises one, and few are ever read: so no text yet, and not the root's own way.
        self.retry_after = retry_after
        details["service_name"] = service_name
        self.context = details

    def __str__(self) -> str:
        return f"Circuit breaker '{self.context['service_name']}' is open"


class FallbackError(ApplicationError):
    """The operation failed, and so did its fallback, which is the cause."""

    status_code = 503
    code = "fallback_failed"
    public_text = "The service is temporarily unavailable"

    def __init__(
        self,
        message: str = "Both primary and fallback operations failed",
        *,
        primary_error: BaseException,
        fallback_error: BaseException,
        **details: Any,
    ) -> None:
        super().__init__(message, cause=fallback_error, **details)
        self.primary_error = primary_error
        self.fallback_error = fallback_error


class FallbackChainExhaustedError(ApplicationError):
    """Every link of a fallback chain failed; the last failure is the cause."""

    status_code = 503
    code = "fallbacks_exhausted"
    public_text = "The service is temporarily unavailable"

    def __init__(
        self,
        message: str = "Every fallback failed",
        *,
        last_error: BaseException | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, cause=last_error, **details)
        self.last_error = last_error


class IsolatedError(ApplicationError):
    """A failure that was kept inside one operation; what happened is the cause."""

    code = "isolated_failure"

    def __init__(self, operation: str, **details: Any) -> None:
        super().__init__(f"Operation '{operation}' failed", operation=operation, **details)
