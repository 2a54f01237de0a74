"""The units of the codebooks behind the first, drawn while ``generate()`` draws the first one's ids.

The first codebook's ids alone say where the others speak. So they ride beside the loop, not in it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import logits_process as warpers
from transformers.generation.streamers import BaseStreamer

from smoltolk.common.errors import InputError
from smoltolk.model.codec.codebooks import speaking
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace

# What shapes the distribution that ids are drawn from, whichever ids they are.
_WARPERS = (
    warpers.TemperatureLogitsWarper,
    warpers.TopKLogitsWarper,
    warpers.TopPLogitsWarper,
    warpers.MinPLogitsWarper,
    warpers.TypicalLogitsWarper,
    warpers.EpsilonLogitsWarper,
)


def last_place(input_ids: Tensor, space: IdSpace) -> tuple[Tensor, Tensor]:
    """Where the last position stands in its run of frames, seen from the end.

    Args:
        input_ids: [B, T].
        space: the id space.

    Returns:
        Index in the run [B], capped at the largest delay (more does not matter), -1 outside; and the ``pad_speech`` ids
        that the run has had [B].
    """
    window = input_ids[:, -(space.tail + 1) :].flip(1)
    last_pads = (window == space.pad_speech).int().cumprod(1)
    units = (window >= space.speech_offset) & (window < space.eos_speech)
    members, pads = (last_pads.bool() | units).int().cumprod(1).sum(1), last_pads.sum(1)
    in_run = members > pads  # pads alone are padding
    return torch.where(in_run, members - 1, -1), torch.where(in_run, pads, 0)


class DelayRule(LogitsProcessor):
    """Keeps the first codebook to the delay pattern: units, then as many ``pad_speech`` as the delay, then the end.

    Args:
        space: the id space.
        shortest: ids before which no end may come, so that a run must not begin to close too early either.
    """

    def __init__(self, space: IdSpace, shortest: int = 0):
        self._space, self._shortest = space, shortest

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, T] and [B, V + U] -> [B, V + U]."""
        space = self._space
        index, pads = last_place(input_ids, space)
        inside, done = index >= 0, pads == space.tail  # without any delay, every unit completes its frame
        possible = torch.ones_like(scores, dtype=torch.bool)
        possible[:, space.speech_offset : space.eos_speech] = ~(inside & (pads > 0))[:, None]
        may_close = input_ids.shape[1] + space.tail >= self._shortest
        possible[:, space.pad_speech] = inside & ~done & ((pads > 0) | may_close)
        possible[:, space.eos_speech] = ~inside | done
        possible[:, space.switch] = ~inside | done
        return scores.masked_fill(~possible, -torch.inf)


class CodeListener(BaseStreamer):
    """A streamer that is told of all codebooks: ``generate()`` lends it its stream of codes before the prompt comes."""

    code_stream: CodeStream | None = None


class CodeStream:
    """The codes of one call of ``generate``, which grow as its ids do.

    Args:
        space: the id space.
        codes: [B, T, Q - 1] of the prompts.
        owed: [B, n, Q - 1], units of the next positions that are known already, -1 where they are not.
    """

    def __init__(self, space: IdSpace, codes: Tensor, owed: Tensor):
        self.space, self.codes, self._owed = space, codes, owed
        self._prompts, self._prompt_length = codes, codes.shape[1]
        self._warpers = LogitsProcessorList()
        self._samples = self._beams = False
        self._next: Tensor | None = None

    def configure(self, config: GenerationConfig, processors: LogitsProcessorList) -> None:
        """Draw as the call of ``generate`` draws its ids."""
        self._samples, self._beams = bool(config.do_sample), (config.num_beams or 1) > 1
        self._warpers = LogitsProcessorList([one for one in processors if isinstance(one, _WARPERS)])

    def offer(self, logits: Tensor) -> None:
        """Take the logits [B, Q - 1, K] of the position to come."""
        self._next = logits

    def codes_for(self, input_ids: Tensor, length: int, cache: Cache | None) -> Tensor:
        """The codes [B, length, Q - 1] of the positions that the model reads next.

        Args:
            input_ids: all ids so far, or a chunk of the prompts.
            length: how many of the last of them it reads.
            cache: tells where a chunk begins.
        """
        if input_ids.shape[0] != self.codes.shape[0]:  # a row for each beam or returned sequence
            self.codes, self._owed = (
                part.repeat_interleave(input_ids.shape[0] // len(part), 0) for part in (self.codes, self._owed)
            )
        if input_ids.shape[1] < self.codes.shape[1]:
            start = 0 if cache is None else int(cache.get_seq_length())
            return self.codes[:, start : start + length]
        if input_ids.shape[1] > self.codes.shape[1]:
            self._follow(input_ids)
        return self.codes[:, -length:]

    def codes_behind(self, input_ids: Tensor) -> list[int]:
        """The codes [Q - 1] of the id that was just drawn, of the one row of ids [1, T] that there is.

        The next step of the model would draw them; it finds them drawn, so that nothing else is drawn otherwise.
        """
        return self.codes_for(input_ids.to(self.codes.device), 1, None)[0, -1].tolist()

    def finish(self, sequences: Tensor) -> Tensor:
        """The codes [N, T, Q - 1] of what ``generate`` returns."""
        missing = sequences.shape[1] - self._prompt_length
        if self._beams:  # they write; what they read has not changed
            prompts = self._prompts.repeat_interleave(sequences.shape[0] // len(self._prompts), 0)
            return torch.nn.functional.pad(prompts, (0, 0, 0, missing), value=SILENT)
        return self.codes_for(sequences, sequences.shape[1], None)

    def _follow(self, input_ids: Tensor) -> None:
        """Draw the codes of the id that was just drawn."""
        place = input_ids.shape[1] - 1
        if self._next is None or place != self.codes.shape[1]:
            raise InputError(
                "with several codebooks ids are generated one by one",
                f"{input_ids.shape[1] - self.codes.shape[1]} new ids at once",
                "leave out candidate ids",
            )
        index, pads = last_place(input_ids, self.space)
        before, pads_before = last_place(input_ids[:, :-1], self.space)
        if bool(((before >= 0) & (index < 0) & (pads_before < self.space.tail)).any()):
            raise InputError(
                "speech is left when all codebooks have ended",
                "an id that leaves it inside the delay, by a logits processor of the caller",
                "end the prompt's speech first (Document.switch does), or leave the processor out",
            )
        speaks = speaking(index, pads, self.space)
        if self._beams and bool((index >= 0).any()):
            raise InputError(
                "beam search ranks ids, and a frame of several codebooks is more than its id",
                "num_beams > 1 while the model speaks",
                "speak with num_beams=1; beams are for text",
            )
        drawn = torch.where(speaks, self._draw(self._next), SILENT)
        known = place - self._prompt_length
        if known < self._owed.shape[1]:
            drawn = torch.where(speaks & (self._owed[:, known] >= 0), self._owed[:, known], drawn)
        self.codes = torch.cat([self.codes, drawn[:, None].to(self.codes)], dim=1)
        self._next = None

    def _draw(self, logits: Tensor) -> Tensor:
        # Warpers read no ids.
        scores = self._warpers(None, logits.flatten(0, 1).float())
        drawn = scores.softmax(-1).multinomial(1) if self._samples else scores.argmax(-1)
        return drawn.view(logits.shape[:2])
