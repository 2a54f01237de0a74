"""A model's settings in words, and its card: the README.md beside a saved model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData

from smoltolk.common.files import read_text, write_text
from smoltolk.model.configuration import SmolTolkConfig

NAME = "README.md"
_OURS = "<!-- Written by smoltolk and written anew whenever the model is saved. To keep changes, delete this line. -->"
# What transformers puts in the place of a card that it does not find on the hub.
_NOBODYS = "This model card has been automatically generated."
_TAGS = ("smoltolk", "speech", "spoken-language-modelling", "arxiv:2503.06211")

_TEXT = """\
{ours}
# {title}

A text language model that also hears and speaks: late fusion and multi-level fission (arXiv 2503.06211).

| setting | value |
|---|---|
{rows}

Ids below {offset} are text and control ids; {offset} to {last} are speech units, and two more end and pad speech.
The ids of the prompt alone say what is text and what is speech.

## Use

```python
from smoltolk import SmolTolkForCausalLM, SmolTolkProcessor, generation_settings

model = SmolTolkForCausalLM.from_pretrained("{place}").eval()
processor = SmolTolkProcessor.from_pretrained("{place}")

prompt = processor(["Once upon a time"], continue_in="speech")
made = model.generate(**prompt, **generation_settings(model.config, "speech"), max_new_tokens=200)
print(processor.split(made[0]))
```

{hearing}
"""
_HEARING = (
    "To listen, the processor needs the unit tokenizer that the model was trained with ({found}):\n"
    '`SmolTolkProcessor.from_pretrained("{place}", units="DIRECTORY")`.'
)


def model_card(config: SmolTolkConfig, place: str = "DIRECTORY", tags: list[str] | None = None) -> ModelCard:
    """A card that says what the model is, how it is built and how it is loaded.

    Args:
        config: the model's.
        place: what ``from_pretrained`` is to be given: a hub id or a directory.
        tags: more of them, for the hub.
    """
    name = config.text_model_name
    found = "their fingerprint is in its configuration" if config.unit_fingerprint else "the model does not name it"
    content = _TEXT.format(
        ours=_OURS,
        title=f"SmolTolk on {name}" if name else "A SmolTolk model",
        rows="\n".join(f"| {what} | {value} |" for what, value in describe(config).items()),
        offset=config.speech_offset,
        last=config.speech_offset + config.num_units - 1,
        place=place,
        hearing=_HEARING.format(found=found, place=place),
    )
    data = ModelCardData(
        base_model=name, library_name="smoltolk", pipeline_tag="any-to-any", tags=[*_TAGS, *(tags or [])]
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{content}")


def write_card(directory: str | os.PathLike, config: SmolTolkConfig, place: str = "DIRECTORY") -> None:
    """Write the card into a directory, unless one is there that somebody wrote."""
    path = f"{os.fspath(directory)}/{NAME}"
    held, tags = read_text(path), []
    if held is not None:
        if _OURS not in held and _NOBODYS not in held:
            return
        data = ModelCard(held, ignore_metadata_errors=True).data.to_dict()
        tags = [tag for tag in data.get("tags") or [] if tag not in _TAGS]
    write_text(path, str(model_card(config, place, tags)))


_MIXES = {
    "last": "none: the last layer alone",
    "fixed": "none: layer {} alone",
    "static": "static: one weight a layer",
    "dynamic": "dynamic: each position selects among the layers",
}


def describe(config: SmolTolkConfig) -> dict[str, str]:
    """What the configuration says, a name and a phrase each, in the order in which speech passes through the model."""
    text = config.get_text_config()
    named = f"{config.text_model_name} ({text.model_type})" if config.text_model_name else text.model_type
    units = f"{config.num_units:,}"
    if config.num_codebooks > 1:
        units = f"{config.num_codebooks} codebooks of {units}, delays {', '.join(map(str, config.id_space.delays))}"
    if config.unit_fingerprint is not None:
        units += f", fingerprint {config.unit_fingerprint[:16]}"
    mix = _MIXES[config.layer_mix].format(config.fission_layer)
    if config.layer_mix_pool == "all":
        mix += ", the input adapter's among them"
    if config.layer_mix_norm:
        mix += ", each brought to root mean square 1"
    backbone = f"{named}, {text.num_hidden_layers} layers of {text.hidden_size:,}"
    if config.new_layers:
        backbone += f", those at {', '.join(map(str, config.new_layers))} new"
    if config.frozen_text_model:
        backbone += ", frozen but for what is new"
    return {
        "text model": backbone,
        "text ids": f"{config.speech_offset:,}, control ids among them",
        "units": units,
        "speech tables": "tied" if config.tie_speech_embeddings else "one to read, one to predict",
        "input adapter": _adapter(config.num_input_layers, config.input_adapter_size),
        **({"units of a position": f"{config.patch_size}, a patch of a span"} if config.patch_size > 1 else {}),
        "layer mix": mix,
        "speech residual": "yes" if config.speech_residual else "no",
        "output adapter": _adapter(config.num_output_layers, config.output_adapter_size)
        + (", at first copies of the text model's last ones" if config.copies_top_layers else ""),
        "modality": "chosen by the model" if config.predict_switch else "chosen by the prompt",
    }


def _adapter(num_layers: int, size: Mapping[str, Any] | None) -> str:
    if not num_layers:
        return "none"
    layers = f"{num_layers} layer" + ("s" if num_layers > 1 else "")
    if not size:
        return f"{layers}, as wide as the text model's"
    return f"{layers} with " + ", ".join(f"{name} {value}" for name, value in size.items())


class CardMixin:
    """Puts the card beside what ``save_pretrained`` and ``push_to_hub`` write."""

    config: Any  # SmolTolkConfig

    def save_pretrained(self, save_directory: str | os.PathLike, is_main_process: bool = True, **kwargs: Any) -> None:
        """Write configuration, tensors and model card; see ``PreTrainedModel.save_pretrained``."""
        super().save_pretrained(save_directory, is_main_process=is_main_process, **kwargs)  # type: ignore[misc]
        if is_main_process:
            write_card(save_directory, self.config)

    def _upload_modified_files(self, working_dir: str | os.PathLike, repo_id: str, *args: Any, **kwargs: Any) -> Any:
        # Both ways to the hub end here, after transformers has put a card of its own into the directory.
        write_card(working_dir, self.config, repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)  # type: ignore[misc]
