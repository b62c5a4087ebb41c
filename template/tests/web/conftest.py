"""What OpenTelemetry would send away."""

from collections.abc import Iterator

import pytest
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Exported:
    """The spans and the log records of a test, by the real SDK."""

    def __init__(self, spans: InMemorySpanExporter, logs: InMemoryLogRecordExporter) -> None:
        self._spans = spans
        self._logs = logs

    def spans(self) -> list[tuple[str, str, dict[str, object]]]:
        """Name, id and attributes of each that has ended, innermost first."""
        return [
            (span.name, f"{span.context.span_id:016x}", dict(span.attributes or {}))
            for span in self._spans.get_finished_spans()
            if span.context is not None
        ]

    def everything(self) -> str:
        """As text."""
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        return "\n".join([*spans, *(record.to_json() for record in self._logs.get_finished_logs())])


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """OpenTelemetry is on during this test. Its providers could otherwise be set once in a process, and not unset."""
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    logs, loggers = InMemoryLogRecordExporter(), LoggerProvider()  # type: ignore[no-untyped-call]
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: loggers)
    monkeypatch.setattr(_logs, "get_logger", lambda name, *_, **__: loggers.get_logger(name))
    yield Exported(spans, logs)
    tracers.shutdown()
    loggers.shutdown()
