import pytest

from smoltolk.common.errors import InputError
from smoltolk.model.ids import IdSpace

SPACE = {"speech_offset": 100, "num_units": 20, "begin_prompt": 90, "end_prompt": 91, "switch": 92, "eos_text": 2}


def test_places() -> None:
    space = IdSpace(**SPACE)
    assert (space.eos_speech, space.pad_speech, space.size, space.num_speech_ids) == (120, 121, 122, 22)
    assert [space.is_speech(token) for token in (0, 92, 99, 100, 121)] == [False, False, False, True, True]


@pytest.mark.parametrize("name", ["begin_prompt", "end_prompt", "switch", "eos_text"])
@pytest.mark.parametrize("value", [-1, 100, 121])
def test_control_ids_are_text_ids(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name} = {value}, speech_offset = 100"):
        IdSpace(**(SPACE | {name: value}))
