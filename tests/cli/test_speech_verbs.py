"""speak with another synthesizer than the default."""

from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.speech.synthesis.flite import flite_available


@pytest.mark.skipif(not flite_available(), reason="needs the system library flite (apt install flite)")
def test_flite_speaks_a_corpus(tmp_path: Path, smoltolk: Callable) -> None:
    (tmp_path / "texts.txt").write_text("The old fox naps.\nMia has a red kite.\nIt is late.\n")
    command = ("speak", tmp_path / "texts.txt", tmp_path / "out", "--synthesizer", "flite", "--workers", "0")
    assert smoltolk(*command, "--voices", "2").code == 0
    spoken = list(read_corpus(tmp_path / "out"))
    assert [len(one.words) for one in spoken] == [4, 5, 3] and all(one.phones for one in spoken)
    assert spoken[0].speaker == spoken[2].speaker != spoken[1].speaker
    again = smoltolk(*command, "--voices", "3")
    assert again.code == 1 and "another corpus" in again.err
