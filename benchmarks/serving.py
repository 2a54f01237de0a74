"""A server under load against the same requests one at a time: ids a second, times, errors, memory.

    python benchmarks/serving.py quickstart/bundle

Rounds of both take turns in one run, and the medians are told; machines drift. The server is a process of its own, the
clients are another, both on this machine's processors.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

NAMES = ["Mia", "Tony", "Anna", "Diana", "Gloria", "Felix", "Lucy", "Bruno"]
STARTS = (
    "Meet {}.", "This is {}.", "Here comes {}. One hot day begins.", "Meet {}. A dark morning starts.",
    "This is {}. One quiet day begins.", "Here comes {}.", "Meet {}. One cold day begins.", "This is {}. A day begins.",
)  # fmt: skip


def kinds(model: str) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Requests by what they make."""
    common = {"model": model, "temperature": 0.8}
    texts = [start.format(name) for start in STARTS for name in NAMES]
    return {
        "text": [("/v1/completions", {**common, "prompt": text, "seed": n, "max_tokens": 100})
                 for n, text in enumerate(texts)],
        "units": [("/v1/completions", {**common, "prompt": text, "seed": n, "max_tokens": 150, "modality": "speech"})
                  for n, text in enumerate(texts)],
        "sound": [("/v1/audio/speech", {"model": model, "input": text, "seed": n}) for n, text in enumerate(texts)],
        "files": [("/v1/audio/speech", {"model": model, "input": text, "seed": n, "response_format": "flac"})
                  for n, text in enumerate(texts)],
    }  # fmt: skip


def start(bundle: Path) -> tuple[subprocess.Popen[str], str]:
    """A server and its address."""
    code = "import sys; from smoltolk.cli import main; sys.argv = ['smoltolk', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", code, "serve", str(bundle), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = re.search(r"http://[^ ]+", server.stdout.readline() if server.stdout else "")
    if told is None:
        raise SystemExit(f"the server did not start, and ended with {server.wait()}")
    return server, told[0]


async def ask(address: str, requests: list[tuple[str, dict[str, Any]]], clients: int) -> tuple[list[float], int]:
    """Times of all requests, so many at once, and how many failed."""
    waiting, times, failed = list(reversed(requests)), list[float](), 0
    limits = httpx.Limits(max_connections=clients)

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal failed
        while waiting:
            path, body = waiting.pop()
            begin = time.perf_counter()
            answer = await client.post(path, json=body)
            failed += answer.status_code != 200
            times.append(time.perf_counter() - begin)

    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return times, failed


def first_sound(address: str) -> str:
    """How soon the first sound came after the first unit, of all requests so far."""
    text = httpx.get(f"{address}/metrics").text
    found = re.findall(r'^smoltolk_first_sound_seconds_bucket{le="([^"]+)"} (\S+)$', text, re.M)
    total = float(found[-1][1])
    return ", ".join(
        f"{float(count) / total:.0%} within {edge} s" for edge, count in found if edge in ("0.1", "0.25", "0.5")
    )


def num_ids(address: str) -> float:
    """Ids that the server has generated."""
    text = httpx.get(f"{address}/metrics").text
    return sum(float(value) for value in re.findall(r"^smoltolk_generated_ids_total{[^}]*} (\S+)$", text, re.M))


def processor_seconds(process: int) -> float:
    """Of all its threads; unlike a clock they do not count what others do on the machine."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(process: int) -> float:
    """Resident memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    """Tell a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=128, help="of a round under load; an eighth of them alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=["text", "units", "sound", "files"], help="of requests")
    options = parser.parse_args()
    server, address = start(options.bundle)
    try:
        model = httpx.get(f"{address}/v1/models").json()["data"][0]["id"]
        for name in options.kinds:
            requests = kinds(model)[name]
            found: dict[int, list[tuple[float, float, float, list[float]]]] = {1: [], options.clients: []}
            failed, memory, soon = 0, [], ["", "", ""]
            for number in range(options.rounds + 1):  # the first one warms up
                for clients, count in ((1, options.requests // 8), (options.clients, options.requests)):
                    before, worked, begin = num_ids(address), processor_seconds(server.pid), time.perf_counter()
                    times, wrong = asyncio.run(ask(address, (requests * 9)[:count], clients))
                    seconds = time.perf_counter() - begin
                    failed += wrong
                    worked, made = processor_seconds(server.pid) - worked, num_ids(address) - before
                    if name == "sound" and (number == 0 or clients > 1):
                        soon[1 if clients == 1 else 2] = first_sound(address)
                    if number:
                        found[clients].append((made / seconds, made / worked, count / seconds, times))
                memory.append(megabytes(server.pid))
            rates, costs = dict[int, float](), dict[int, float]()
            for clients, rounds in found.items():
                rates[clients] = statistics.median(rate for rate, _, _, _ in rounds)
                costs[clients] = statistics.median(cost for _, cost, _, _ in rounds)
                times = np.concatenate([times for _, _, _, times in rounds])
                print(
                    f"{name:6} {clients:3d} at once: {rates[clients]:6.0f} ids/s (rounds"
                    f" {', '.join(f'{rate:.0f}' for rate, _, _, _ in rounds)}),"
                    f" {costs[clients]:6.0f} a second of its processors,"
                    f" {statistics.median(each for _, _, each, _ in rounds):5.1f} requests/s,"
                    f" p50 {np.quantile(times, 0.5):.3f} s, p95 {np.quantile(times, 0.95):.3f} s"
                )
            if name == "sound":
                print(f"sound    1 at once: first sound {soon[1]}; then with {options.clients} at once {soon[2]}")
            print(
                f"{name:6} {rates[options.clients] / rates[1]:.1f} times as many ids a second"
                f" ({costs[options.clients] / costs[1]:.1f} times as many a second of its processors),"
                f" {failed} errors, memory after each round {', '.join(f'{one:.0f}' for one in memory)} MB",
                flush=True,
            )
    finally:
        server.terminate()
        print(f"server ended with {server.wait(60)}")


if __name__ == "__main__":
    main()
