"""Batched continuation of prompts, and the way from generated ids to words and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.prompts import check_documents, pad_codes, pad_left
from smoltolk.inference.batches import evaluating
from smoltolk.model.codec.codebooks import frames_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.ids import IdSpace


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next id is drawn; None in its place means the most likely one.

    Attributes:
        temperature: divides the logits, > 0.
        top_k: only the k most likely ids can be drawn; 0 means all.
    """

    temperature: float = 0.8
    top_k: int = 25

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.top_k < 0:
            raise InputError(
                "sampling needs temperature > 0 and top_k >= 0",
                f"temperature = {self.temperature}, top_k = {self.top_k}",
                "for the most likely id give no sampling at all",
            )


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation.

    Attributes:
        ids: int64 [n], without prompt and end.
        ended: whether the end came within the limit.
        frames: int64 [m, Q], of a model of several codebooks: what was said first, from 0; without the prompt's frames,
            and without the last ones of a continuation that was cut off, which not all codebooks have spoken.
    """

    ids: np.ndarray
    ended: bool
    frames: np.ndarray | None = None


def generate(
    model: Any,
    prompts: Sequence[Sequence[int] | np.ndarray | Document],
    *,
    end_id: int,
    pad_id: int,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    seed: int = 0,
    batch_size: int = 64,
    progress: Bar | None = None,
) -> list[Generation]:
    """Continue every prompt until its end or the limit.

    Prompts are sorted by length and padded on the left, so a greedy continuation does not depend on its batch
    (a sampled one does, by the order of random numbers; the global random state is left as it was).

    Args:
        model: with the ``generate`` of transformers.
        prompts: unified ids, none of them empty; of a model of several codebooks, documents that hold them.
        end_id: the id that ends a continuation.
        pad_id: fills up on the left, masked; a text id, so that it lengthens no speech span.
        max_new_tokens: the limit, ids or frames: for those that go on under their delay there are positions besides.
        sampling: None for the most likely id at every step.
        seed: of the sampling.
        batch_size: prompts at a time.
        progress: advanced by the prompts done.

    Returns:
        One continuation for each prompt, in order.

    Raises:
        InputError: an empty prompt, or one of ids alone where there are several codebooks.
    """
    documents = [prompt for prompt in prompts if isinstance(prompt, Document)]
    id_rows = [prompt.input_ids if isinstance(prompt, Document) else prompt for prompt in prompts]
    if any(len(prompt) == 0 for prompt in id_rows):
        raise InputError("every prompt must hold at least one id", "an empty prompt", "begin with an end id")
    config, drawing, several = getattr(model, "config", None), _drawing(sampling), None
    if isinstance(config, SmolTolkConfig):
        space = config.id_space
        if config.predict_switch:  # it is held to the modality that was asked for
            held = generation_settings(config, "speech" if space.is_speech(end_id) else "text")
            drawing["logits_processor"] = held["logits_processor"]
        if space.num_codebooks > 1:
            check_documents(prompts)
            several = space
            max_new_tokens += space.tail if space.is_speech(end_id) else 0  # where the last frame finishes
    device = next(model.parameters()).device
    order = sorted(range(len(id_rows)), key=lambda index: (-len(id_rows[index]), index))
    results: dict[int, Generation] = {}
    with evaluating(model), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for begin in range(0, len(order), batch_size):
            members = order[begin : begin + batch_size]
            torch.manual_seed(derive(seed, "generate", begin) % 2**63)
            input_ids, attention_mask = pad_left([id_rows[i] for i in members], pad_id, device)
            beside = {}
            if several is not None:
                codes = pad_codes([documents[i] for i in members], input_ids.shape[1], several.num_codebooks - 1)
                beside = {"codes": codes.to(device), "return_dict_in_generate": True}
            output = model.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                max_new_tokens=max_new_tokens,
                eos_token_id=end_id,
                pad_token_id=end_id,  # rows that are done are filled with their own end
                **drawing,
                **beside,
            )
            made = (output if several is None else output.sequences)[:, input_ids.shape[1] :].cpu().numpy()
            for number, index in enumerate(members):
                results[index] = _cut(made[number], end_id)
                if several is not None:
                    drawn = output.codes[number, input_ids.shape[1] :].cpu().numpy()
                    frames = _frames(documents[index], made[number], drawn, several)
                    results[index] = replace(results[index], frames=frames)
            if progress is not None:
                progress.advance(len(members))
    return [results[index] for index in range(len(id_rows))]


def _drawing(sampling: Sampling | None) -> dict[str, Any]:
    if sampling is None:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": sampling.temperature, "top_k": sampling.top_k}


def _cut(row: np.ndarray, end_id: int) -> Generation:
    ends = np.flatnonzero(row == end_id)
    return Generation(row[: ends[0] if len(ends) else len(row)], bool(len(ends)))


def _frames(prompt: Document, ids: np.ndarray, codes: np.ndarray, space: IdSpace) -> np.ndarray:
    """Frames [m, Q] of what was said first behind a prompt, from ids [n] and codes [n, Q - 1] behind it."""
    said = np.concatenate([prompt.input_ids, ids]), np.concatenate([prompt.codes, codes])
    runs = frames_of(torch.from_numpy(said[0]), torch.from_numpy(said[1]), space)
    heard = frames_of(torch.from_numpy(prompt.input_ids), torch.from_numpy(prompt.codes), space)
    # Speech that goes on is a run that the prompt has begun.
    goes_on = len(prompt) > 0 and space.speech_offset <= prompt.input_ids[-1] < space.eos_speech
    first, known = len(heard) - goes_on, len(heard[-1]) if goes_on else 0
    if first >= len(runs):
        return np.zeros((0, space.num_codebooks), np.int64)
    frames = runs[first][known:].numpy()
    return frames[(frames >= 0).all(1)]


def to_text(generation: Generation, tokenizer: Any) -> str:
    """Words of a written continuation, spaces at both ends taken off."""
    return tokenizer.decode(generation.ids.tolist(), skip_special_tokens=True).strip()


def to_units(generation: Generation, space: IdSpace) -> np.ndarray:
    """Units (from 0) of a spoken continuation: int64 [n], other ids left out, no two neighbours equal.

    Of several codebooks its frames [n, Q], each of them.
    """
    if space.num_codebooks > 1:
        return np.zeros((0, space.num_codebooks), np.int64) if generation.frames is None else generation.frames
    units = generation.ids - space.speech_offset
    units = units[(units >= 0) & (units < space.num_units)]
    return np.array([unit for unit, _ in groupby(units.tolist())], np.int64)
