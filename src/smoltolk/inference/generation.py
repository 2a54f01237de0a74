"""Batched continuation of prompts, and the way from generated ids to words and units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.prompts import check_documents, pad_codes, pad_left
from smoltolk.inference.batches import evaluating
from smoltolk.inference.drawing import RowDraws
from smoltolk.inference.limits import Limits, Stop
from smoltolk.inference.sampling import Sampling
from smoltolk.model.codec.codebooks import frames_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.ids import IdSpace


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
    max_new_tokens: int | Sequence[int],
    sampling: Sampling | None = None,
    seed: int | Sequence[int] = 0,
    batch_size: int = 64,
    progress: Bar | None = None,
    streamer: Any = None,
    is_long: Callable[[np.ndarray], bool] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Generation]:
    """Continue every prompt until its end or the limit.

    Prompts are sorted by length and padded on the left, and each draws by a seed of its own: a continuation does not
    depend on its batch, but for the last bits of its logits. The global random state is left as it was.

    Args:
        model: with the ``generate`` of transformers.
        prompts: unified ids, none of them empty; of a model of several codebooks, documents that hold them.
        end_id: the id that ends a continuation.
        pad_id: fills up on the left, masked; a text id, so that it lengthens no speech span.
        max_new_tokens: the limit, ids or frames, or one for each prompt: for frames that go on under their delay there
            are positions besides.
        sampling: None for the most likely id at every step.
        seed: of the sampling; one for each prompt, or one from which theirs are derived by their places.
        batch_size: prompts at a time; frames of several codebooks are drawn one prompt at a time.
        progress: advanced by the prompts done.
        streamer: as ``generate`` of transformers takes it, for one prompt.
        is_long: whether ids [n] behind a prompt are enough, asked now and then; of several codebooks never.
        stop: whether nobody waits for the rest, asked at every step.

    Returns:
        One continuation for each prompt, in order.

    Raises:
        InputError: an empty prompt, or one of ids alone where there are several codebooks.
    """
    documents = [prompt for prompt in prompts if isinstance(prompt, Document)]
    id_rows = [prompt.input_ids if isinstance(prompt, Document) else prompt for prompt in prompts]
    if any(len(prompt) == 0 for prompt in id_rows):
        raise InputError("every prompt must hold at least one id", "an empty prompt", "begin with an end id")
    seeds = [derive(seed, "generate", place) for place in range(len(id_rows))] if isinstance(seed, int) else list(seed)
    most = [max_new_tokens] * len(id_rows) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    tail = 0
    config, several, led = getattr(model, "config", None), None, []
    if isinstance(config, SmolTolkConfig):
        space = config.id_space
        if config.predict_switch:  # it is held to the modality that was asked for
            led = list(generation_settings(config, "speech" if space.is_speech(end_id) else "text")["logits_processor"])
        if space.num_codebooks > 1:
            check_documents(prompts)
            several = space
            tail = space.tail if space.is_speech(end_id) else 0  # where the last frame finishes
            if sampling is not None:  # the other codebooks are drawn from the one state that torch has
                batch_size = 1
    device = next(model.parameters()).device
    order = sorted(range(len(id_rows)), key=lambda index: (-len(id_rows[index]), index))
    results: dict[int, Generation] = {}
    with evaluating(model), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for begin in range(0, len(order), batch_size):
            members = order[begin : begin + batch_size]
            input_ids, attention_mask = pad_left([id_rows[i] for i in members], pad_id, device)
            drawing = _drawing(sampling, [seeds[index] for index in members], led, several is not None)
            criteria: list[StoppingCriteria] = [] if stop is None else [Stop(stop)]
            limits = None
            if several is None and (is_long is not None or len({most[index] for index in members}) > 1):
                limits = Limits([most[index] for index in members], input_ids.shape[1], is_long)
                criteria.append(limits)
            if criteria:
                drawing["stopping_criteria"] = StoppingCriteriaList(criteria)
            beside = {}
            if several is not None:
                codes = pad_codes([documents[i] for i in members], input_ids.shape[1], several.num_codebooks - 1)
                beside = {"codes": codes.to(device), "return_dict_in_generate": True}
            output = model.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                max_new_tokens=max(most[index] for index in members) + tail,
                eos_token_id=end_id,
                pad_token_id=end_id,  # rows that are done are filled with their own end
                streamer=streamer,
                **drawing,
                **beside,
            )
            made = (output if several is None else output.sequences)[:, input_ids.shape[1] :].cpu().numpy()
            for number, index in enumerate(members):
                results[index] = _cut(made[number], end_id)
                if limits is not None and len(results[index].ids) >= limits.reached.get(number, len(made[number])):
                    # Behind its limit a row is filled with ends, which are not its own.
                    results[index] = replace(results[index], ended=False)
                if several is not None:
                    drawn = output.codes[number, input_ids.shape[1] :].cpu().numpy()
                    frames = _frames(documents[index], made[number], drawn, several)
                    whole = results[index].ended and len(frames) <= most[index]
                    results[index] = replace(results[index], frames=frames[: most[index]], ended=whole)
            if progress is not None:
                progress.advance(len(members))
    return [results[index] for index in range(len(id_rows))]


def _drawing(sampling: Sampling | None, seeds: Sequence[int], led: Sequence[Any], several: bool) -> dict[str, Any]:
    """How ``generate()`` of transformers is told to draw, ``led`` by what holds it to a modality."""
    if several and sampling is not None:  # one row
        torch.manual_seed(seeds[0] % 2**63)
        return {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            **({"logits_processor": LogitsProcessorList(led)} if led else {}),
        }
    processors = [*led, *([] if sampling is None else [RowDraws(sampling, seeds)])]
    return {"do_sample": False, **({"logits_processor": LogitsProcessorList(processors)} if processors else {})}


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
