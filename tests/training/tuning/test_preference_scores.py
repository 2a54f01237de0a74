"""Which answer is likelier: log-likelihoods of answers alone, whatever stands beside them in a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from smoltolk.inference.parts import load_model
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.training.tuning.dialogues import read_dialogues
from smoltolk.training.tuning.encoding import Recordings, encode_dialogues
from smoltolk.training.tuning.preference_scores import answer_margins, preference_accuracy


def test_margins_are_likelihoods_of_answers(talking: Path, preferences: Path, phone_units_dir: Path) -> None:
    """In any batch; what pads a shorter one has no part in it."""
    model, tokenizer = load_model(talking)
    dialogues = read_dialogues(preferences, [], preferences=True)
    units = Recordings(load_unit_tokenizer(phone_units_dir)).units_of([p for d in dialogues for p in d.recordings], [])
    pairs = encode_dialogues(dialogues, model.config.id_space, tokenizer, units, [], longest=2048)
    assert len(pairs) == 6
    expected = []
    for one in pairs:
        totals = []
        for document in (one.chosen, one.rejected):
            assert document is not None
            ids, labels = torch.from_numpy(document.input_ids)[None], torch.from_numpy(document.labels)[None]
            with torch.no_grad():
                totals.append(float(model.nll(ids, labels).sum()))
        expected.append(totals[1] - totals[0])
    total, mean = answer_margins(model, pairs)
    np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(answer_margins(model, pairs, batch_size=1)[0], total, rtol=1e-3, atol=1e-2)
    known = preference_accuracy(model, pairs)
    assert known == {"accuracy": np.mean(np.array(expected) > 0), "accuracy_per_id": np.mean(mean > 0)}
    assert preference_accuracy(model, []) == {}
