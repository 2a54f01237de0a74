import pytest

from smoltolk.speech.spelling.sentences import ends_sentence


@pytest.mark.parametrize(
    "token", ["end.", "end!", "end?", "end.\u201d", 'end."', "end?!", "end…", '"Why?"', "no!)", "完。", "etc.", "$5."]
)
def test_a_sentence_ends(token: str) -> None:
    assert ends_sentence(token)


@pytest.mark.parametrize("token", ["end", "end,", "Mr.", "Dr.", "St.", "U.S.", "e.g.", "vs.", "3.5", "Oslo,"])
def test_a_sentence_goes_on(token: str) -> None:
    assert not ends_sentence(token)
