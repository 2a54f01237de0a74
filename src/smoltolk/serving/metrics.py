"""What Prometheus is told, in a registry of the app's own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from smoltolk.inference.running.worker import Worker

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts and times of an app.

    Args:
        workers: of each model, by its name.
    """

    def __init__(self, workers: Mapping[str, Worker]):
        self.registry = CollectorRegistry()
        self.requests = Counter("smoltolk_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "smoltolk_request_seconds",
            "Time of requests, to their last byte.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.open = Gauge("smoltolk_open_requests", "Requests under way.", registry=self.registry)
        self.first_sound = Histogram(
            "smoltolk_first_sound_seconds",
            "From the first unit to the first sound.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.heard = Counter("smoltolk_heard_seconds", "Seconds of sound that were heard.", registry=self.registry)
        self.spoken = Counter("smoltolk_spoken_seconds", "Seconds of sound that were spoken.", registry=self.registry)
        self._workers = workers
        self.registry.register(self)

    def collect(self) -> Any:
        """What the running batches tell, asked by the registry."""
        batches = {name: worker.batch for name, worker in self._workers.items()}
        running = {name: len(one.running) for name, one in batches.items()}
        waiting = {name: worker.num_waiting for name, worker in self._workers.items()}
        held = {name: one.grid.num_bytes for name, one in batches.items()}
        counts = {
            "smoltolk_running_rows": ("Rows that run.", running),
            "smoltolk_waiting_rows": ("Rows that wait for a slot.", waiting),
            "smoltolk_cache_bytes": ("Storage of the cache.", held),
        }
        for metric, (text, values) in counts.items():
            family: Any = GaugeMetricFamily(metric, text, labels=["model"])
            for name, value in values.items():
                family.add_metric([name], value)
            yield family
        for metric, attribute, text in (
            ("smoltolk_generated_ids", "num_ids", "Ids generated."),
            ("smoltolk_steps", "num_steps", "Steps of the batch."),
        ):
            family = CounterMetricFamily(metric, text, labels=["model"])
            for name, batch in batches.items():
                family.add_metric([name], getattr(batch, attribute))
            yield family

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


class Measured:
    """Counts requests and their time, to the last byte.

    Args:
        app: what is measured.
        metrics: that are told.
    """

    def __init__(self, app: Any, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.open.inc()
        try:
            await self.app(scope, receive, noted)
            status = status or 499  # the client left before anything was said
        finally:
            status = status or 500
            self.metrics.open.dec()
            # The path as the app has it: those that clients think of would be numberless.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - begin)
