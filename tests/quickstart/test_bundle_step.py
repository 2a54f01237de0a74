"""What the quick start leaves to talk with."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from smoltolk.data.world.stories import World
from smoltolk.inference.speech_text import SpeechText
from smoltolk.quickstart.bundle_step import leave_bundle


def test_it_leaves_a_bundle(bundle_parts: Path, tmp_path: Path, world: World, chance_results: dict[str, Any]) -> None:
    (tmp_path / "results.json").write_text(json.dumps(chance_results))
    settings = SimpleNamespace(
        out=tmp_path, units=bundle_parts / "units", vocoder=bundle_parts / "vocoder",
        model=lambda system: bundle_parts / {"late": "model"}[system],
        test_story=lambda index: world.test_story(index, heard_only=True),
    )  # fmt: skip
    figures = leave_bundle(settings)
    talker = SpeechText.from_pretrained(tmp_path / "bundle", device="cpu")
    assert talker.say("Hello.").seconds > 0 and figures["sample"]["prompt"] == settings.test_story(0).sentences[0]
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "answer alone, T->S | 50.0 | 40.0 to 60.0 | 50 | 250 pairs |" in card and "word error rate | 90.0" in card
    assert "learnt too little" in card
    assert "espeak-ng" in card and "no person speaks" in card
    weights = tmp_path / "bundle" / "model.safetensors"
    assert weights.stat().st_nlink > 1 or weights.stat().st_dev != bundle_parts.stat().st_dev
