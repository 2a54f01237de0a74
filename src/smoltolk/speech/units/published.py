"""Unit tokenizers that others published, by name."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from smoltolk.common.downloads import fetch
from smoltolk.common.errors import InputError
from smoltolk.speech.units.codebook import read_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.pretrained_encoder import PretrainedEncoder


@dataclass(frozen=True, slots=True)
class PublishedUnits:
    """Where an encoder and its codebook are published.

    Attributes:
        encoder: hub id.
        layer: of its hidden states.
        codebook: address of a k-means pickle.
        sha256: of that file.
    """

    encoder: str
    layer: int
    codebook: str
    sha256: str


# Both read samples as they are: their codebooks were made so, whatever the encoder's feature extractor says.
PUBLISHED = {
    "mhubert-25hz": PublishedUnits(  # Hassid et al. 2023 (TWIST)
        "slprl/mhubert-base-25hz",
        11,
        "https://dl.fbaipublicfiles.com/textless_nlp/twist/speech_tokenizer/"
        "mhubert_base_25hz_cp_mls_cv_sp_fisher_L11_km500.bin",
        "03cc04a9c24fec4285e73e709c485756d8f116aa8e724eac555de6a7cf8d28ad",
    ),
    "hubert-50hz": PublishedUnits(  # Hsu et al. 2021; textless NLP
        "facebook/hubert-base-ls960",
        9,
        "https://dl.fbaipublicfiles.com/hubert/hubert_base_ls960_L9_km500.bin",
        "4450dcbc90aa7d0553306a4b0fafef35c9b3c840468f02969273dfbb9db89a23",
    ),
}


def pretrained_encoder(name: str, layer: int | None = None, *, dtype: str = "float32") -> PretrainedEncoder:
    """An encoder by published name, hub id or directory.

    Args:
        name: a key of :data:`PUBLISHED`, or what transformers loads.
        layer: whose states are wanted; None: the published one.
        dtype: ``"float32"`` or ``"bfloat16"``.

    Raises:
        NotFoundError: nothing there.
        InputError: no layer for a name that has none of its own, or see :class:`PretrainedEncoder`.
    """
    if name in PUBLISHED:
        held = PUBLISHED[name]
        layer = held.layer if layer is None else layer
        return PretrainedEncoder.from_pretrained(held.encoder, layer, normalize=False, dtype=dtype)
    if layer is None:
        raise InputError(
            "an encoder needs the layer whose states become units",
            f"none for {name!r}",
            f"give --layer, or a name that has one: {', '.join(PUBLISHED)}",
        )
    return PretrainedEncoder.from_pretrained(name, layer, dtype=dtype)


def pretrained_units(
    name: str, *, layer: int | None = None, codebook: Path | str | None = None, dtype: str = "float32"
) -> EncoderUnitTokenizer:
    """Units by published name, or of any encoder with a codebook at hand.

    Args:
        name: as :func:`pretrained_encoder`.
        layer: None: the published one.
        codebook: a file, :func:`smoltolk.speech.units.codebook.read_codebook`; None: the published one, fetched once.
        dtype: ``"float32"`` or ``"bfloat16"``.

    Raises:
        NotFoundError: nothing there.
        InputError: a name without a codebook of its own, another layer than the codebook's, or files that do not fit.
    """
    held = PUBLISHED.get(name)
    if codebook is None:
        if held is None or layer not in (None, held.layer):
            raise _no_codebook(name, layer)
        codebook = fetch(held.codebook, held.sha256)
    return EncoderUnitTokenizer(pretrained_encoder(name, layer, dtype=dtype), read_codebook(codebook))


def _no_codebook(name: str, layer: int | None) -> InputError:
    near = get_close_matches(name, PUBLISHED, 1)
    other = "of another encoder give --layer and --codebook, or fit your own codebook with `smoltolk units fit`"
    return InputError(
        f"a codebook belongs to one encoder and one of its layers; published here: {', '.join(PUBLISHED)}",
        f"none of {name!r}" + ("" if layer is None else f", layer {layer}"),
        f"did you mean {near[0]}? {other}" if near and near[0] != name else other,
    )
