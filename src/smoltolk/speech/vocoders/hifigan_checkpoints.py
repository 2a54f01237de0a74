"""Published unit HiFi-GANs: reading them safely, by name or from files, and as vocoders of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from smoltolk.common.checkpoint_files import read_torch
from smoltolk.common.downloads import fetch
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json
from smoltolk.speech.small_networks import as_saved
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig

_ROOT = "https://dl.fbaipublicfiles.com/textless_nlp"


@dataclass(frozen=True, slots=True)
class PublishedHifiGan:
    """Files of a published vocoder: ``(url, sha256)`` each.

    Attributes:
        units: which units it speaks.
        checkpoint, config: the state dict and its settings.
        speakers, styles: a name a line, where it has several.
    """

    units: str
    checkpoint: tuple[str, str]
    config: tuple[str, str]
    speakers: tuple[str, str] | None = None
    styles: tuple[str, str] | None = None


def _expresso(name: str, units: str, checkpoint: str, config: str) -> PublishedHifiGan:
    folder = f"{_ROOT}/expresso/checkpoints/hifigan_expresso_lj_vctk_{name}"
    return PublishedHifiGan(
        units,
        (f"{folder}/generator.pt", checkpoint),
        (f"{folder}/config.json", config),
        (f"{folder}/speakers.txt", "2efabb7a4ad786da34fe6fbe99c3906b7abd40b2e01c81b7efde76142ae3d552"),
        (f"{folder}/styles.txt", "a6f63206518448277c63c3a251ac13484784829cf2e1b0a23b0860dd32543520"),
    )


# The checksums are those of facebookresearch/textlesslib.
PUBLISHED: dict[str, PublishedHifiGan] = {
    "mhubert-25hz-lj": PublishedHifiGan(
        "mHuBERT 25 Hz, layer 11, 500 units",
        (
            f"{_ROOT}/twist/speech_tokenizer/hifigan_lj_mhubert_base_25hz.pt",
            "d88224e95c501e2cd59a6e4014753169cfe060fb7ade3cc0da03c809fef73b79",
        ),
        (
            f"{_ROOT}/twist/speech_tokenizer/hifigan_lj_mhubert_base_25hz_config.json",
            "116dc39be4970cd393e562acd0a0ec70a86aaba7e9ca469b8b836cb3fe46afc7",
        ),
    ),
    "hubert-50hz-expresso": _expresso(
        "hubert_base_ls960_L9_km500",
        "HuBERT 50 Hz, layer 9, 500 units",
        "d50f4704e961c29cb386924ef32cd0c3a4d1089a3f9be856f8a3b6dcfdd6147a",
        "31e65ef5e100cb43de08f2c8d225496ace1ed87a49fcb8ee44bd6805f079b1f0",
    ),
}


def published_hifigan(name: str, tokenizer: UnitTokenizer) -> HifiGanVocoder:
    """A published vocoder by name; its files are fetched once and checked.

    Args:
        name: of :data:`PUBLISHED`.
        tokenizer: the units that it was published for; only their number and rate can be checked.

    Raises:
        InputError: no such name, units that cannot be its own, or a damaged file.
    """
    if name not in PUBLISHED:
        raise InputError("a published vocoder must be known", f"{name!r}", f"choose of {', '.join(PUBLISHED)}")
    files = PUBLISHED[name]
    return read_hifigan(
        fetch(*files.checkpoint),
        fetch(*files.config),
        tokenizer,
        speakers=None if files.speakers is None else fetch(*files.speakers),
        styles=None if files.styles is None else fetch(*files.styles),
    )


def read_hifigan(
    checkpoint: Path | str,
    config: Path | str,
    tokenizer: UnitTokenizer,
    *,
    speakers: Path | str | None = None,
    styles: Path | str | None = None,
) -> HifiGanVocoder:
    """Read a unit HiFi-GAN of textless NLP. Pickled code is never run.

    Args:
        checkpoint: a ``torch.save`` file with the state dict under ``generator``, weights normalised
            (``weight_g`` and ``weight_v``) or plain.
        config: its JSON.
        tokenizer: the units that it was trained for; only their number and rate can be checked.
        speakers, styles: files with a name a line, in the order of the embeddings.

    Raises:
        NotFoundError: no such file.
        InputError: not such a checkpoint, or units that cannot be its own.
    """
    settings = read_json(config)
    if not isinstance(settings, dict):
        raise InputError("a config must be a JSON object", f"{config}", "take the file that came with the checkpoint")
    state = plain_weights(_generator(Path(checkpoint)))
    # The published code has defaults for what a config leaves out; the embeddings themselves know better.
    for key, part in (("num_speakers", "spkr.weight"), ("num_styles", "style.weight")):
        if part in state:
            settings[key] = len(state[part])
    with as_saved(config, "a unit HiFi-GAN"):
        read = HifiGanConfig.from_dict(settings)
        if tokenizer.num_units > read.num_embeddings or tokenizer.frame_rate != read.frame_rate:
            raise InputError(
                "a vocoder speaks the units that it was trained for",
                f"{read.num_embeddings} units at {read.frame_rate:g} Hz there, {tokenizer.num_units} at "
                f"{tokenizer.frame_rate:g} Hz here",
                "take the tokenizer that the vocoder was published for",
            )
        vocoder = HifiGanVocoder(read, tokenizer.fingerprint, speakers=_names(speakers), styles=_names(styles))
        try:
            vocoder.network.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                "a checkpoint must have the weights that its config says",
                str(error),
                "take the two that belong together",
            ) from error
    return vocoder.requires_grad_(False)


def plain_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with every pair ``weight_g, weight_v`` of weight normalisation as one ``weight``.

    Raises:
        InputError: one of a pair without the other.
    """
    plain = dict(state)
    for name in [name for name in state if name.endswith((".weight_g", ".weight_v"))]:
        layer = name.removesuffix("_g").removesuffix("_v")
        if f"{layer}_g" not in state or f"{layer}_v" not in state:
            raise InputError("weight_g and weight_v come in pairs", f"{name} alone", "copy the checkpoint again, whole")
        if f"{layer}_g" in plain:
            length, direction = plain.pop(f"{layer}_g").float(), plain.pop(f"{layer}_v").float()
            plain[layer] = direction * (length / direction.flatten(1).norm(dim=1)[:, None, None])
    return plain


def _generator(path: Path) -> dict[str, Tensor]:
    held = read_torch(path)
    state = held.get("generator") if isinstance(held, dict) else None
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise InputError(
            "a checkpoint of a unit HiFi-GAN holds its tensors under 'generator'",
            f"{path}: {sorted(map(str, held))[:5] if isinstance(held, dict) else type(held).__name__}",
            "take the generator's file, not the discriminators'",
        )
    return state


def _names(path: Path | str | None) -> list[str]:
    if path is None:
        return []
    if not Path(path).is_file():
        raise NotFoundError("a list of names must exist", f"no file {path}", "correct the path")
    return [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
