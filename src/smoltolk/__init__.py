"""SmolTolk: turn a pretrained text language model into one that also hears and speaks.

The names of ``__all__`` are the public ones; docs/model.md says what each is for. A name is imported when it is first
asked for: ``import smoltolk`` alone loads neither torch nor transformers.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Bundle",
    "BundleSettings",
    "Experiment",
    "Outcome",
    "PieceIterator",
    "PieceStreamer",
    "Rule",
    "RunRecipe",
    "Sampling",
    "Scored",
    "Scores",
    "SmolTolkConfig",
    "SmolTolkError",
    "SmolTolkForCausalLM",
    "SmolTolkProcessor",
    "Speech",
    "SpeechText",
    "StreamPiece",
    "UnitCorpus",
    "UnitTokenizer",
    "Units",
    "Utterance",
    "Vocoder",
    "__version__",
    "compiled_decoding",
    "generation_settings",
    "held_out_nll",
    "load_audio",
    "load_unit_tokenizer",
    "load_vocoder",
    "make_bundle",
    "open_bundle",
    "quick_attention",
    "read_corpus",
    "read_shards",
    "recipe_named",
    "save_audio",
    "score",
    "trl_trainer",
]

if TYPE_CHECKING:
    from smoltolk.common.errors import SmolTolkError
    from smoltolk.data.corpora.corpus import read_corpus
    from smoltolk.data.corpora.utterances import Utterance
    from smoltolk.data.shards.parquet import read_shards
    from smoltolk.data.shards.unit_corpus import UnitCorpus
    from smoltolk.evaluation.nll import held_out_nll
    from smoltolk.evaluation.rules import Rule
    from smoltolk.evaluation.scoring import Scores, score
    from smoltolk.evaluation.sequences import Scored
    from smoltolk.inference.answers import Answer, Speech, StreamPiece
    from smoltolk.inference.bundle import Bundle, BundleSettings, open_bundle
    from smoltolk.inference.bundle_making import make_bundle
    from smoltolk.inference.sampling import Sampling
    from smoltolk.inference.speech_text import SpeechText
    from smoltolk.model.configuration import SmolTolkConfig
    from smoltolk.model.generation.compiled import compiled_decoding
    from smoltolk.model.generation.modes import generation_settings
    from smoltolk.model.generation.streaming import PieceIterator, PieceStreamer
    from smoltolk.model.modeling import SmolTolkForCausalLM
    from smoltolk.model.text_models.attention import quick_attention
    from smoltolk.processing import SmolTolkProcessor
    from smoltolk.speech.audio import load as load_audio
    from smoltolk.speech.audio import save as save_audio
    from smoltolk.speech.units.kinds import load_unit_tokenizer
    from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
    from smoltolk.speech.vocoders.kinds import load_vocoder
    from smoltolk.speech.vocoders.vocoder import Vocoder
    from smoltolk.sweeps.experiment import Experiment, Outcome
    from smoltolk.training.recipes.sources import recipe_named
    from smoltolk.training.recipes.tree import RunRecipe
    from smoltolk.training.trl_trainers import trl_trainer
else:
    # The same again, for the moment when a name is asked for; a test holds the two against each other.
    _HOMES = {
        "Answer": "inference.answers",
        "Bundle": "inference.bundle",
        "BundleSettings": "inference.bundle",
        "Experiment": "sweeps.experiment",
        "Outcome": "sweeps.experiment",
        "PieceIterator": "model.generation.streaming",
        "PieceStreamer": "model.generation.streaming",
        "Rule": "evaluation.rules",
        "RunRecipe": "training.recipes.tree",
        "Sampling": "inference.sampling",
        "Scored": "evaluation.sequences",
        "Scores": "evaluation.scoring",
        "SmolTolkConfig": "model.configuration",
        "SmolTolkError": "common.errors",
        "SmolTolkForCausalLM": "model.modeling",
        "SmolTolkProcessor": "processing",
        "Speech": "inference.answers",
        "SpeechText": "inference.speech_text",
        "StreamPiece": "inference.answers",
        "UnitCorpus": "data.shards.unit_corpus",
        "UnitTokenizer": "speech.units.tokenizer",
        "Units": "speech.units.tokenizer",
        "Utterance": "data.corpora.utterances",
        "Vocoder": "speech.vocoders.vocoder",
        "compiled_decoding": "model.generation.compiled",
        "generation_settings": "model.generation.modes",
        "held_out_nll": "evaluation.nll",
        "load_audio": "speech.audio:load",
        "load_unit_tokenizer": "speech.units.kinds",
        "load_vocoder": "speech.vocoders.kinds",
        "make_bundle": "inference.bundle_making",
        "open_bundle": "inference.bundle",
        "quick_attention": "model.text_models.attention",
        "read_corpus": "data.corpora.corpus",
        "read_shards": "data.shards.parquet",
        "recipe_named": "training.recipes.sources",
        "save_audio": "speech.audio:save",
        "score": "evaluation.scoring",
        "trl_trainer": "training.trl_trainers",
    }

    def __getattr__(name):
        from importlib import import_module

        from smoltolk.common.noise import silence_noise

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        silence_noise()
        module, _, there = _HOMES[name].partition(":")
        value = getattr(import_module(f"{__name__}.{module}"), there or name)
        globals()[name] = value  # so that it is asked for once
        return value

    def __dir__():
        return list(__all__)
