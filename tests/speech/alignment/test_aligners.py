import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.alignment.aligners import aligner_named


def test_pocketsphinx_by_name() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    assert aligner_named("pocketsphinx").name == "pocketsphinx"
    with pytest.raises(InputError, match="aligns English"):
        aligner_named("pocketsphinx", language="de")


def test_names_of_nothing() -> None:
    with pytest.raises(NotFoundError, match="no directory"):
        aligner_named("./no-such-model")
