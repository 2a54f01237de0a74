"""The verb: what it refuses, and how its process starts and stops."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from smoltolk.cli.app import app
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.serving.run import check_reachable, listener_at, offers_of

RUN = "import sys; from smoltolk.cli import main; sys.argv[0] = 'smoltolk'; main()"


def test_a_host_that_others_reach_has_keys(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(InputError, match="others can reach has keys"):
            check_reachable(host, None)
    for host in ("127.0.0.1", "::1", "localhost"):
        check_reachable(host, None)
    told = CliRunner().invoke(app, ["serve", str(tmp_path), "--host", "0.0.0.0"])
    assert isinstance(told.exception, InputError)
    told = CliRunner().invoke(app, ["serve", str(tmp_path), "--keys", str(tmp_path / "none")])
    assert isinstance(told.exception, NotFoundError)


def test_bundles_by_their_names(bundle_dir, tmp_path):
    offers = offers_of([f"{bundle_dir}/"])
    assert list(offers) == [bundle_dir.name] and offers[bundle_dir.name].languages == ("en",)
    with pytest.raises(InputError, match="names of their own"):
        offers_of([bundle_dir, bundle_dir])
    for name in ("one", "zwei drei"):
        shutil.copytree(bundle_dir, tmp_path / name / "bundle")
    assert list(offers_of([tmp_path / "one" / "bundle", tmp_path / "zwei drei" / "bundle"])) == [
        "one/bundle", "zwei drei/bundle"
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"bundle.json"):
        offers_of([tmp_path])


def test_an_address_that_is_taken_or_is_none_shows_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="name another --port"):
            listener_at("127.0.0.1", port)
        told = CliRunner().invoke(app, ["serve", "no/bundle", "--port", str(port)])
        assert isinstance(told.exception, InputError) and "an address of its own" in str(told.exception)
    with pytest.raises(InputError, match="an address of its own"):
        listener_at("203.0.113.1", 0)  # of nobody
    with listener_at("localhost", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_signal_lets_it_finish_what_is_under_way(bundle_dir):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, "serve", str(bundle_dir), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    told: list[httpx.Response] = []
    try:
        address = re.search(r"http://\S+:\d+", server.stdout.readline())[0]
        body = {
            "model": "bundle",
            "prompt": "Mia",
            "max_tokens": 400,
            "temperature": 2.0,
            "top_k": 0,
            "n": 16,
            "seed": 1,
        }
        asking = threading.Thread(
            target=lambda: told.append(httpx.post(f"{address}/v1/completions", json=body, timeout=60))
        )
        asking.start()
        while not re.search(r'running_rows{model="bundle"} [1-9]', httpx.get(f"{address}/metrics").text) and not told:
            time.sleep(0.005)
        server.send_signal(signal.SIGTERM)
        asking.join()
        _, errors = server.communicate(timeout=30)
    finally:
        server.kill()
    assert told[0].status_code == 200 and len(told[0].json()["choices"]) == 16
    assert "Traceback" not in errors and "stopped" not in errors
    assert Path(f"/proc/{server.pid}").exists() is False or server.returncode is not None
