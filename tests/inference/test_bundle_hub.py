"""Bundles to a hub and back, through the hub's own client and a server on this machine that speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.inference.bundle import Bundle
from smoltolk.inference.bundle_hub import push_bundle

BIG = ".safetensors", ".wav"
COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """One repository, one branch; what the client asks of it on the way of a push and of a pull."""

    files: dict[str, bytes]
    stored: dict[str, bytes]
    commits: list[list[str]]
    exists: bool

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, body: Any = b"", code: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    @property
    def home(self) -> str:
        host, port = self.server.server_address[:2]
        return f"http://{host}:{port}"

    def do_POST(self) -> None:
        hub, data = type(self), self.body()
        if self.path == "/api/repos/create":
            hub.exists = True
            self.answer({"url": f"{self.home}/me/talker", "name": "me/talker", "id": "1"})
        elif self.path == "/api/validate-yaml":  # of the card
            self.answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            wanted = json.loads(data)["files"]
            names = [one["path"] for one in wanted]
            modes = {name: "lfs" if name.endswith(BIG) else "regular" for name in names}
            told = [{"path": name, "uploadMode": modes[name], "shouldIgnore": False} for name in names]
            self.answer({"files": told})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(data)["objects"]
            upload = {one["oid"]: {"upload": {"href": f"{self.home}/lfs/{one['oid']}"}} for one in objects}
            found = [{"oid": one["oid"], "size": one["size"], "actions": upload[one["oid"]]} for one in objects]
            self.answer({"transfer": "basic", "objects": found}, Content_Type="application/vnd.git-lfs+json")
        elif self.path.endswith("/commit/main"):
            rows = [json.loads(line) for line in data.splitlines()]
            for row in rows:
                value = row["value"]
                if row["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif row["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.stored[value["oid"]]
                elif row["key"] == "deletedFile":
                    del hub.files[value["path"]]
            hub.commits.append([row["key"] for row in rows])
            self.answer({"commitUrl": f"{self.home}/me/talker/commit/{COMMIT}", "commitOid": COMMIT, "success": True})
        else:
            self.answer({"error": self.path}, 404)

    def do_PUT(self) -> None:
        type(self).stored[self.path.rsplit("/", 1)[1]] = self.body()
        self.answer()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/me/talker"):
            if not self.exists:
                self.answer({"error": "no"}, 404, X_Error_Code="RepoNotFound")
                return
            names = [{"rfilename": name} for name in sorted(self.files)]
            if "/tree/" in path:
                tree = [{"type": "file", "path": n, "size": len(d), "oid": COMMIT} for n, d in self.files.items()]
                self.answer(tree)
            else:
                self.answer({"id": "me/talker", "sha": COMMIT, "siblings": names, "private": False})
        elif path.startswith("/me/talker/resolve/"):
            name = path.split("/", 5)[5]
            if name not in self.files:
                self.answer(b"", 404, X_Error_Code="EntryNotFound")
                return
            data = self.files[name]
            self.answer(data, ETag=f'"{hashlib.sha256(data).hexdigest()}"', X_Repo_Commit=COMMIT)
        else:
            self.answer({"error": path}, 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET


@pytest.fixture
def served() -> Iterator[tuple[type[Hub], str]]:
    hub = type("OneHub", (Hub,), {"files": {}, "stored": {}, "commits": [], "exists": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


SCRIPT = """
import json, sys
from smoltolk.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["smoltolk", *command]
    try:
        main(last=False)
    except SystemExit as stopped:
        print(json.dumps({"code": stopped.code}))
"""


def call(endpoint: str, home: Path, *commands: list[object]) -> tuple[list[str], str]:
    """Commands in one process of their own, which knows this hub alone: lines of stdout, and stderr."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
    told = json.dumps([list(map(str, command)) for command in commands])
    environment = {**os.environ, **settings, "HF_HUB_OFFLINE": "0"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, told], capture_output=True, text=True, env=environment, cwd=home
    )
    return run.stdout.splitlines(), run.stderr


def test_there_and_back(bundle: Bundle, served: tuple[type[Hub], str], tmp_path: Path) -> None:
    hub, endpoint = served
    hub.files["vocoder/stale.bin"] = b"of a former bundle"
    lines, errors = call(
        endpoint,
        tmp_path,
        ["bundle", "push", bundle.path, "me/talker", "--private"],
        ["bundle", "pull", "me/talker", "here", "--revision", COMMIT],
        ["say", "me/talker", "A dog.", "--out", "dog.wav", "--json"],  # by its name alone
    )
    assert [line for line in lines if line.startswith('{"code"')] == ['{"code": 0}'] * 3, errors
    assert lines[0] == f"{endpoint}/me/talker" and len(hub.commits) == 1  # whole or not at all
    assert set(hub.files) == {"README.md", "bundle.json", *bundle.record["files"]}
    assert b'SpeechText.from_pretrained("me/talker")' in hub.files["README.md"]
    for name in bundle.record["files"]:
        assert (tmp_path / "here" / name).read_bytes() == hub.files[name] == (bundle.path / name).read_bytes()
    assert not list(tmp_path.glob(".tmp-*"))
    assert json.loads(lines[-2])["seconds"] > 0


def test_what_a_hub_may_do_wrong(bundle: Bundle, served: tuple[type[Hub], str], tmp_path: Path) -> None:
    hub, endpoint = served
    (tmp_path / "me" / "talker").mkdir(parents=True)  # a directory here is not what `pull` fetches
    hub.exists = True
    hub.files.update({name: (bundle.path / name).read_bytes() for name in ("bundle.json", *bundle.record["files"])})
    hub.files["units/model.safetensors"] = hub.files["units/model.safetensors"][:-1] + b"?"
    pull = ["bundle", "pull"]
    lines, errors = call(endpoint, tmp_path, [*pull, "me/none", "here"], [*pull, "me/talker", "here"])
    assert lines == ['{"code": 1}'] * 2
    assert "a bundle is a directory here or a repository on the hub" in errors
    assert "units/model.safetensors: its content is another one" in errors
    assert not (tmp_path / "here").exists()


def test_without_a_way_to_the_hub(bundle: Bundle, tmp_path: Path) -> None:
    commands = (["bundle", "push", bundle.path, "me/talker"], ["bundle", "pull", "me/talker", "here"])
    lines, errors = call("http://127.0.0.1:9", tmp_path, *commands)
    assert lines == ['{"code": 1}'] * 2 and "Traceback" not in errors
    assert "a push takes a way to the hub" in errors and "a directory here or a repository on the hub" in errors


def test_a_damaged_bundle_is_not_pushed(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "bundle")
    (tmp_path / "bundle" / "sample.wav").write_bytes(b"other")
    with pytest.raises(InputError, match=r"sample\.wav"):  # before anyone asks the network
        push_bundle(tmp_path / "bundle", "me/talker")
