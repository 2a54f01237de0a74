"""Real speech and real units, made once, for the tests of every room that needs them."""

import json
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MimiConfig, MimiModel, PreTrainedTokenizerFast

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.data.shards.prepare import prepare
from smoltolk.data.world.stories import World
from smoltolk.inference.bundle import Bundle, BundleSettings
from smoltolk.inference.bundle_making import Origin, make_bundle
from smoltolk.inference.sampling import Sampling
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.results import COMPARED, DIRECTIONS, KINDS, LENS_WAYS, OUTCOMES
from smoltolk.speech.audio import load
from smoltolk.speech.synthesis.espeak_synthesis import Voice, espeak_available, voices
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.phone_encoder import LabelledSpeech, fit_phone_units
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig

NUM_STORIES, PER_PART = 8, 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one of them when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker has whole files, and all of those that share a finished quick start."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "quickstart" if nodeid.startswith("tests/quickstart/") else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests compute little: more threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token for every byte, and <eos> as 0."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: number + 1 for number, letter in enumerate(alphabet)} | {"<eos>": 0}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


@pytest.fixture(scope="session")
def world() -> World:
    return World(seed=0, num_people=12)


@pytest.fixture(scope="session")
def spoken_texts(world: World) -> list[tuple[str, str, Voice]]:
    speakers = voices(4, seed=0, split="seen")
    stories = world.stories(NUM_STORIES, heard_only=True)
    return [(story.id, story.text, speakers[i % 4]) for i, story in enumerate(stories)]


@pytest.fixture(scope="session")
def spoken_corpus(spoken_texts: list[tuple[str, str, Voice]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight spoken stories in three parts. Read only."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    directory = tmp_path_factory.mktemp("spoken") / "corpus"
    speak(spoken_texts, directory, source="stories", workers=0, utterances_per_part=PER_PART)
    return directory


@pytest.fixture(scope="session")
def phone_units_dir(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phone encoder after a few steps: real units, not yet good ones. Read only."""
    directory = tmp_path_factory.mktemp("units") / "tokenizer"
    speech = [LabelledSpeech(load(u.audio), u.phones) for u in read_corpus(spoken_corpus) if u.audio]
    fit_phone_units(speech, steps=3, seed=0).save(directory)
    return directory


@pytest.fixture(scope="session")
def shards_dir(spoken_corpus: Path, phone_units_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of the spoken stories. Read only."""
    directory = tmp_path_factory.mktemp("prepared") / "shards"
    prepare(spoken_corpus, phone_units_dir, directory, workers=0)
    return directory


@pytest.fixture(scope="session")
def unit_corpus(shards_dir: Path) -> UnitCorpus:
    return read_shards(shards_dir)


@pytest.fixture
def ids() -> IdSpace:
    """20 text ids (16 the end, 17-19 control), 8 units."""
    return IdSpace(speech_offset=20, num_units=8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16)


@pytest.fixture(scope="session")
def words() -> list[str]:
    """What the tokenizer has seen."""
    stories = World(seed=0, num_people=12).stories(60, heard_only=False)
    return [story.text for story in stories]


@pytest.fixture(scope="session")
def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 400 ids."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


@pytest.fixture(scope="session")
def space(tokenizer: PreTrainedTokenizerFast) -> IdSpace:
    """The ids of :func:`model`, or of a double of it."""
    size = len(tokenizer)
    return IdSpace(
        speech_offset=size + 4, num_units=12, begin_prompt=size, end_prompt=size + 1, switch=size + 2, eos_text=0
    )


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerFast) -> SmolTolkForCausalLM:
    """A real model with random weights over the tokenizer's ids and 12 units."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=12, eos_text_id=0, num_input_layers=1, num_output_layers=1
    )
    return made.eval()


@pytest.fixture(scope="session")
def codec() -> CodecUnitTokenizer:
    """As Mimi: 12.5 frames a second of 8 units of 2,048 each; its weights are small, and random."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_filters": 4, "num_residual_layers": 1, "upsampling_ratios": [8, 6, 5, 4]}
    more = {"codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "num_quantizers": 8}
    layers = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = MimiModel(MimiConfig(**sizes, **more, **layers, head_dim=8, upsample_groups=16))
    for name, buffer in model.named_buffers():
        if name.endswith("embed_sum"):
            buffer.normal_()
    return CodecUnitTokenizer(model)


@pytest.fixture(scope="session")
def make_codec_model(byte_tokenizer: PreTrainedTokenizerFast, codec: CodecUnitTokenizer) -> Callable[..., Any]:
    """``make_codec_model(num_codebooks=4)``: a random model of the codec's frames, over the ids of bytes."""

    def make(**settings: Any) -> SmolTolkForCausalLM:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        units = {
            "num_units": codec.num_units,
            "num_codebooks": codec.num_codebooks,
            "unit_fingerprint": codec.fingerprint,
        }
        more = {"num_input_layers": 1, "num_output_layers": 1}
        made = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **(units | more | settings))
        with torch.no_grad():  # far from alike, so that greedy choices are no matter of the last bit
            for parameter in made.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return made.eval()

    return make


@pytest.fixture(scope="session")
def codec_model(make_codec_model: Callable[..., SmolTolkForCausalLM]) -> SmolTolkForCausalLM:
    """Read only."""
    return make_codec_model()


def save_ctc(folder: Path, layers: int = 1) -> None:
    """A wav2vec 2.0 with a vocabulary of letters: 50 frames a second, blank 0. Without layers it is local."""
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {
        token: index for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *ascii_lowercase, "'"])
    }
    (folder / "letters.json").write_text(json.dumps(vocabulary))
    Wav2Vec2CTCTokenizer(str(folder / "letters.json")).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        pad_token_id=0,
    )
    Wav2Vec2ForCTC(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def ctc_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "ctc"
    save_ctc(folder)
    return folder


@pytest.fixture(scope="session")
def local_ctc_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "local"
    save_ctc(folder, layers=0)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What would have been uploaded: path -> content. ``hub["card"]`` is what already lies there."""
    uploaded: dict[str, Any] = {"card": None}

    def load(repo_id: str, **_: Any) -> ModelCard:
        if uploaded["card"] is None:
            raise EntryNotFoundError("no card")
        return ModelCard(uploaded["card"])

    class Api:
        def create_repo(self, repo_id: str, **_: Any) -> SimpleNamespace:
            return SimpleNamespace(repo_id=f"us/{repo_id}")

        def create_commit(self, repo_id: str, operations: list[Any], **_: Any) -> str:
            assert repo_id == "us/talker"
            uploaded.update({one.path_in_repo: Path(one.path_or_fileobj).read_bytes() for one in operations})
            return "done"

    for place in (
        "transformers.utils.hub.hf_api",
        "transformers.modeling_utils.hf_api",
        "transformers.processing_utils.hf_api",
    ):
        monkeypatch.setattr(place, lambda *_: Api())
    monkeypatch.setattr("transformers.utils.hub.ModelCard.load", load)
    return uploaded


def _largest_error(model: Any, expected: dict[str, torch.Tensor]) -> float:
    """max |difference| / max |expected|, the largest over texts, speech and mixtures of both."""
    space = model.config.id_space
    control = torch.tensor([space.begin_prompt, space.end_prompt, space.switch])
    worst = 0.0
    for kind in ("mixed", "speech", "text"):
        tokens = expected[f"{kind}.tokens"] + expected[f"{kind}.is_speech"] * space.speech_offset
        with torch.no_grad():
            logits = model(tokens[:, :-1]).logits
        for modality, part in (
            ("text", slice(0, space.speech_offset)),
            ("speech", slice(space.speech_offset, space.size)),
        ):
            wanted = expected.get(f"{kind}.logits_{modality}")
            if wanted is None or not wanted.numel():
                continue
            wanted = wanted.reshape(-1, wanted.shape[-1])
            found = logits[expected[f"{kind}.predict_{modality}"]][:, part]
            if modality == "text":  # written down before control ids became impossible
                found, wanted = (values.index_fill(1, control, 0.0) for values in (found, wanted))
            assert found.shape == wanted.shape
            worst = max(worst, float((found - wanted).abs().max() / wanted.abs().max()))
    return worst


@pytest.fixture(scope="session")
def largest_error() -> Callable[..., float]:
    """``largest_error(model, expected)``: of the logits of a converted checkpoint (see tests/data/parity)."""
    return _largest_error


@pytest.fixture(scope="session")
def bundle_parts(byte_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of twelve units, the units, and a vocoder of two voices, in folders. Read only."""
    place = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    units = EncoderUnitTokenizer(MfccEncoder(), Codebook(torch.randn(12, 39)))
    units.save(place / "units")
    settings = {
        "num_embeddings": 12, "embedding_dim": 4, "model_in_dim": 8, "upsample_rates": [8, 8, 5, 2],
        "upsample_kernel_sizes": [16, 16, 11, 4], "upsample_initial_channel": 16, "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]], "multispkr": "from_input", "num_speakers": 2,
        "dur_predictor_params": {
            "encoder_embed_dim": 4, "var_pred_hidden_dim": 8, "var_pred_kernel_size": 3, "var_pred_dropout": 0.5,
        },
    }  # fmt: skip
    config = HifiGanConfig.from_dict(settings)
    HifiGanVocoder(config, units.fingerprint, speakers=["anna", "bela"]).save(place / "vocoder")
    text = LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        eos_token_id=0, max_position_embeddings=512, _name_or_path="/somewhere/else/backbone",
    )  # fmt: skip
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(text), num_units=12, unit_fingerprint=units.fingerprint, text_model_name="some/text-model"
    )
    with torch.no_grad():  # far from alike, so that greedy choices are no matter of the last bit
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made.save_pretrained(place / "model")
    byte_tokenizer.save_pretrained(place / "model")
    return place


@pytest.fixture(scope="session")
def bundle(bundle_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Those parts as a bundle, with figures and a sample. Read only."""
    place = tmp_path_factory.mktemp("bundles")
    cell = {"accuracy": 0.75, "low": 0.7, "high": 0.8, "n": 400}
    tasks = {"storycloze": {"chance": 0.5, "rules": {"mean": {"cells": {"S->S": cell}}}}}
    (place / "results.json").write_text(json.dumps({"tasks": tasks}))
    return make_bundle(
        bundle_parts / "model", bundle_parts / "units", bundle_parts / "vocoder", place / "bundle",
        results=[place / "results.json"], settings=BundleSettings(Sampling(0.5, 7), 20, 10), sample="Once upon",
        origin=Origin("generated stories", "nobody's", "cc0-1.0", languages=("en",)),
    )  # fmt: skip


def _chance_cell(accuracy: float, n: int = 500) -> dict[str, Any]:
    width = 0.1 if n < 500 else 0.2
    return {"accuracy": accuracy, "low": accuracy - width, "high": accuracy + width, "n": n}


@pytest.fixture
def chance_results() -> dict[str, Any]:
    """Of a quick start that is at chance everywhere: single questions look better than pairs."""
    model: dict[str, Any] = {
        kind: {way: _chance_cell(0.625) | {"pair": _chance_cell(0.5, 250)} for way in DIRECTIONS} for kind in KINDS
    }
    model["lens"] = {way: {"0": _chance_cell(0.5) | {"pair": _chance_cell(0.55, 250)}} for way in LENS_WAYS}
    numbers = ("speech_nll", "text_nll_before", "text_nll_after", "recognition_wer", "synthesis_wer",
               "train_tokens_per_second")  # fmt: skip
    model |= dict.fromkeys(numbers, 0.9) | {"recognition_wer_low": 0.8, "recognition_wer_high": 1.1, "parameters": 9}
    units = ("pnmi", "purity", "cross_voice_seen", "cross_voice_unseen", "units_per_second")
    return {
        "seed": 0, "scale": "tiny", "outcomes": [one.name for one in OUTCOMES], "seconds": {}, "tokens": {},
        "units": dict.fromkeys(units, 0.5), "vocoder": dict.fromkeys(("wer_natural", "wer_copy", "wer_units"), 0.1),
        "models": dict.fromkeys(COMPARED, model),
    }  # fmt: skip
