import pytest

from smoltolk.common.errors import InputError
from smoltolk.model.ids import IdSpace

SPACE = {
    "speech_offset": 100,
    "num_units": 20,
    "begin_prompt": 90,
    "end_prompt": 91,
    "switch": 92,
    "eos_text": 2,
    "num_text_ids": 80,
}


def test_places() -> None:
    space = IdSpace(**SPACE)
    assert (space.eos_speech, space.pad_speech, space.size, space.num_speech_ids) == (120, 121, 122, 22)
    assert [space.is_speech(token) for token in (0, 92, 99, 100, 121)] == [False, False, False, True, True]


@pytest.mark.parametrize("name", ["begin_prompt", "end_prompt", "switch", "eos_text"])
@pytest.mark.parametrize("value", [-1, 100, 121])
def test_control_ids_lie_below_speech(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name} = {value}, speech_offset = 100"):
        IdSpace(**(SPACE | {name: value}))


@pytest.mark.parametrize("change", [{"num_text_ids": 91}, {"num_text_ids": 2}, {"eos_text": 85}])
def test_text_ids_come_first(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match="text ids come first"):
        IdSpace(**(SPACE | change))


def test_a_tokenizer_has_no_more_ids_than_the_text_model() -> None:
    space = IdSpace(**SPACE)
    space.check_tokenizer(range(80))
    with pytest.raises(InputError, match="81 ids in the tokenizer, 80 in the text model"):
        space.check_tokenizer(range(81))  # the 81st would be a spare row, later ones control ids and units
    without = {name: value for name, value in SPACE.items() if name != "num_text_ids"}
    assert IdSpace(**without).num_text == 90
