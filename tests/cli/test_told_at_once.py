"""Mistakes that can be seen without torch are told before it is loaded, which takes up to twenty seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
sys.modules["torch"] = sys.modules["transformers"] = None  # whoever wants them raises ImportError
from smoltolk.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv[1:] = command
    try:
        main(last=False)
    except SystemExit as end:
        print(f"ended with {end.code}", file=sys.stderr)
"""
COMMANDS = {
    "train MODEL SHARDS OUT --preset smal": "'smal'",
    "train small data.shards=SHARDS out=OUT sed=1": "did you mean seed?",
    "train --from MODEL sed=1": "did you mean seed?",
    "train small --dry-run": "model.text_model is not set",
    "tune MODEL ROWS OUT": "1 recordings, no units",
    "tune MODEL ROWS OUT --units NOWHERE": "units must exist",
    "tune ./NOWHERE ROWS OUT": "no directory",
    "prefer MODEL ROWS OUT": "has a worse answer too",
    "evaluate MODEL wrld --out OUT": "'wrld'",
    "evaluate ./NOWHERE world --out OUT": "no directory",
    "evaluate MODEL world --out OUT --rule our": "'our'",
    "evaluate MODEL world --out RUN": "model was 'another', is '",
    "evaluate hub/named swuggy --out RUN": "the tasks were world, are swuggy",
    "evaluate MODEL world --out MODEL": "holds something else",
    "evaluate MODEL world --out QUICK": "of another kind",
}


def test_mistakes_are_told_without_torch(tmp_path: Path) -> None:
    for folder in ("MODEL", "RUN", "QUICK"):
        (tmp_path / folder).mkdir()
    (tmp_path / "MODEL" / "config.json").write_text("{}")
    (tmp_path / "MODEL" / "recipe.yaml").write_text("base: small")
    held = {"command": {"verb": "evaluate", "model": "another", "tasks": ["world"]}, "model": {"name": "hub/named"}}
    (tmp_path / "RUN" / "run.json").write_text(json.dumps(held))
    (tmp_path / "QUICK" / "run.json").write_text(json.dumps({"scale": "tiny"}))
    messages = [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "a dog"}]
    (tmp_path / "ROWS").write_text(json.dumps({"messages": messages, "audios": ["a.wav"]}))
    (tmp_path / "a.wav").touch()
    (tmp_path / "SHARDS").mkdir()
    (tmp_path / "SHARDS" / "a.parquet").touch()
    called = [sys.executable, "-c", SCRIPT, json.dumps([command.split() for command in COMMANDS])]
    done = subprocess.run(called, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    told = done.stderr.split("ended with 1\n")
    assert len(told) == len(COMMANDS) + 1 and not told[-1], done.stderr
    for (command, expected), error in zip(COMMANDS.items(), told, strict=False):
        assert "error: " in error and expected in error, f"{command}\n{error}"
