"""Sound in chunks: the samples of the whole where they can be, joints that are no louder than the rest."""

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig
from smoltolk.speech.vocoders.streaming import SoundStream
from smoltolk.speech.vocoders.vocoder import Reach, Vocoder
from smoltolk.speech.vocoders.vocos import VocosVocoder

NUM_UNITS, FINGERPRINT = 12, "f" * 64
HIFIGAN = {
    "num_embeddings": NUM_UNITS,
    "embedding_dim": 8,
    "model_in_dim": 16,
    "upsample_rates": [5, 4],
    "upsample_kernel_sizes": [11, 8],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3], [1, 5]],
    "multispkr": "from_input",
    "num_speakers": 3,
    "sampling_rate": 500,
    "dur_predictor_params": {
        "encoder_embed_dim": 8, "var_pred_hidden_dim": 8, "var_pred_kernel_size": 3, "var_pred_dropout": 0.1,
    },
}  # fmt: skip


def stirred(vocoder: Vocoder) -> Vocoder:
    """With durations of one to some frames, not all alike."""
    with torch.no_grad():
        for name, parameter in vocoder.named_parameters():
            if name.startswith(("duration_network.head", "network.dur_predictor.proj")):
                parameter.normal_(std=0.2).add_(0.7 if name.endswith("bias") else 0)
    return vocoder.eval()


def build(kind: str) -> Vocoder:
    torch.manual_seed(0)
    if kind == "hifigan":
        vocoder: Vocoder = HifiGanVocoder(HifiGanConfig.from_dict(HIFIGAN), FINGERPRINT, speakers=["a", "b", "c"])
    elif kind == "vocos":
        network = {"width": 16, "hidden": 32, "num_blocks": 2}
        vocoder = VocosVocoder(NUM_UNITS, 25.0, FINGERPRINT, width=16, network=network)
    else:
        vocoder = GriffinLimVocoder(NUM_UNITS, 25.0, FINGERPRINT, width=16)
    return stirred(vocoder)


@pytest.fixture(scope="module")
def units() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, NUM_UNITS, 110)
    return drawn[np.diff(drawn, prepend=-1) != 0]


def chunks_of(vocoder: Vocoder, units: np.ndarray, at_once: int = 1, **options: object) -> list[np.ndarray]:
    stream = SoundStream(vocoder, **options)  # type: ignore[arg-type]
    chunks = [stream.add(units[place : place + at_once]) for place in range(0, len(units), at_once)]
    return [*chunks, stream.finish()]


def test_it_says_how_many_units_it_waits_for(units: np.ndarray) -> None:
    stream, said = SoundStream(build("vocos")), 0
    for unit in units:
        waits = stream.missing
        made = len(stream.add(np.array([unit])))
        assert (made > 0) == (waits == 1), "sound comes with the last unit that is missing, and no other"
        said += made > 0
    assert said > 4


@pytest.mark.parametrize("kind", ["vocos", "hifigan"])
def test_with_enough_look_ahead_it_is_the_sound_of_the_whole(kind: str, units: np.ndarray) -> None:
    vocoder = build(kind)
    look_ahead = vocoder.reach.units + vocoder.reach.frames + 1
    whole = vocoder.synthesize(units, speaker=0)
    chunks = chunks_of(vocoder, units, look_ahead=look_ahead)
    assert sum(len(chunk) > 0 for chunk in chunks) > 4 and whole.std() > 1e-3
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("kind", ["griffinlim", "vocos", "hifigan"])
def test_how_far_it_looks(kind: str, units: np.ndarray) -> None:
    """What is further away changes nothing, what is nearest does: the reach is neither short nor a guess."""
    vocoder, place = build(kind), len(units) // 2
    changed = units.copy()
    changed[place] = next(unit for unit in range(NUM_UNITS) if unit not in units[place - 1 : place + 2])
    different = np.flatnonzero(vocoder.predict_durations(changed) != vocoder.predict_durations(units))
    if kind == "hifigan":  # others carry rounding on
        assert len(different) and np.abs(different - place).max() <= vocoder.reach.units
    durations = np.full(len(units), 2)
    if kind == "griffinlim":
        return  # its samples are searched for
    first, second = vocoder.synthesize(units, durations), vocoder.synthesize(changed, durations)
    per_frame = vocoder.sample_rate / vocoder.frame_rate
    far = np.flatnonzero(np.abs(first - second) > 1e-6) / per_frame - 2 * place
    assert vocoder.reach.frames / 3 < -far.min() <= vocoder.reach.frames + 1e-9
    assert far.max() < vocoder.reach.frames + 2


@pytest.mark.parametrize("kind", ["griffinlim", "vocos", "hifigan"])
@pytest.mark.parametrize("look_ahead", [0, 3, 6])
def test_joints_are_no_louder_than_the_rest(kind: str, look_ahead: int, units: np.ndarray) -> None:
    vocoder = build(kind)
    chunks = [chunk for chunk in chunks_of(vocoder, units, look_ahead=look_ahead) if len(chunk)]
    steps = np.abs(np.diff(np.concatenate(chunks)))
    near = np.zeros(len(steps), bool)
    for joint in np.cumsum([len(chunk) for chunk in chunks])[:-1]:
        near[joint - 1 : joint + vocoder.sample_rate // 100] = True
    assert near.any() and steps[near].max() <= steps[~near].max()


@pytest.mark.parametrize("kind", ["griffinlim", "vocos", "hifigan"])
def test_it_depends_on_the_units_alone(kind: str, units: np.ndarray) -> None:
    vocoder = build(kind)
    one_by_one, many = (np.concatenate(chunks_of(vocoder, units, at_once)) for at_once in (1, 17))
    np.testing.assert_array_equal(one_by_one, many)
    stream = SoundStream(vocoder)
    spoken = [stream.add(np.repeat(units, 2)), stream.finish()]  # neighbours that are equal are one
    np.testing.assert_array_equal(np.concatenate(spoken), one_by_one)
    per_frame = vocoder.sample_rate / vocoder.frame_rate
    assert len(one_by_one) == sum(stream.durations) * per_frame and len(stream.durations) == len(units)


def test_some_hops_of_a_spectrogram_are_those_of_the_whole(units: np.ndarray) -> None:
    vocoder = build("griffinlim")
    assert isinstance(vocoder, GriffinLimVocoder)
    durations = vocoder.predict_durations(units)
    whole, num_hops = vocoder.log_mel(units, durations), 4 * int(durations.sum())
    assert whole.shape == (80, num_hops)
    for begin, end in ((0, 1), (0, num_hops), (9, 10), (57, 130), (num_hops - 13, num_hops)):
        some = vocoder.log_mel(units, durations, range(begin, end))
        torch.testing.assert_close(some, whole[:, begin:end], rtol=0, atol=1e-5)


def test_phases_are_searched_for_where_sound_is_asked_for(units: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again for what was said, nor in the look-ahead, which is as long as a chunk."""
    vocoder, searched, search = build("griffinlim"), [], features.griffin_lim

    def counted(log_mel: torch.Tensor, **options: object) -> torch.Tensor:
        searched.append(log_mel.shape[-1])
        return search(log_mel, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "griffin_lim", counted)
    chunks = [chunk for chunk in chunks_of(vocoder, units) if len(chunk)]
    said = sum(map(len, chunks)) / features.HOP
    assert len(chunks) == len(searched) > 8 and sum(searched) <= said + 20 * len(chunks)
    chunks_of(vocoder, units, look_ahead=50)
    assert sum(searched[len(chunks) :]) <= said + 20 * len(chunks)


def test_the_first_sound_comes_early(units: np.ndarray) -> None:
    stream, came = SoundStream(build("vocos"), look_ahead=4), []
    for place in range(40):
        came.append(len(stream.add(units[place : place + 1])) > 0)
    assert came.index(True) == 2 + 4 - 1
    assert not len(SoundStream(build("vocos")).finish())  # nothing was there to say


def test_a_voice_and_a_seed(units: np.ndarray) -> None:
    vocoder = build("hifigan")
    second = np.concatenate(chunks_of(vocoder, units, look_ahead=60, speaker="b"))
    np.testing.assert_allclose(second, vocoder.synthesize(units, speaker="b"), atol=1e-4)
    with pytest.raises(InputError, match="one of the vocoder's voices"):
        chunks_of(vocoder, units, speaker="d")
    with pytest.raises(InputError, match="look-ahead"):
        SoundStream(vocoder, look_ahead=-1)
    searching = build("griffinlim")
    first, again, other = (np.concatenate(chunks_of(searching, units, seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


class Frames:
    """Says frames of two codebooks, 100 samples each, and remembers how many it was asked for."""

    sample_rate, frame_rate, reach = 1_000, 10.0, Reach(0, 5)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        return np.ones(len(units), np.int64)

    def resume(
        self, units: np.ndarray, durations: np.ndarray, said: np.ndarray, seed: int = 0, **_: object
    ) -> np.ndarray:
        self.asked.append(len(units))
        return np.repeat(units.sum(1), 100).astype(np.float32)


def test_frames_of_a_codec_and_the_cost_of_a_chunk() -> None:
    """Frames are not deduplicated; and what is spoken again does not grow with what was said."""
    codec, frames = Frames(), np.random.default_rng(0).integers(0, 9, (300, 2))
    frames[10] = frames[9]
    made = np.concatenate(chunks_of(codec, frames, look_ahead=2))  # type: ignore[arg-type]
    whole = np.repeat(frames.sum(1), 100)
    assert len(made) == len(whole) and np.mean(np.abs(made - whole) > 1e-5) < 0.01
    assert max(codec.asked) <= 5 + 12 + 2 + 1


class Wavering(Frames):
    """Each time it speaks, all of it is louder by one."""

    def resume(
        self, units: np.ndarray, durations: np.ndarray, said: np.ndarray, *_: object, **__: object
    ) -> np.ndarray:
        self.asked.append(len(units))
        return np.full(100 * len(units), len(self.asked), np.float32)


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_a_chunk_fades_in_over_the_one_before(look_ahead: int) -> None:
    codec, frames = Wavering(), np.zeros((60, 2), np.int64)
    made = np.concatenate(chunks_of(codec, frames, look_ahead=look_ahead))  # type: ignore[arg-type]
    steps, fade = np.abs(np.diff(made)), 0.01 * codec.sample_rate
    assert len(codec.asked) > 4 and len(made) == 6_000
    assert made[-1] - made[0] == len(codec.asked) - 1 and steps.max() <= 1.01 / fade
