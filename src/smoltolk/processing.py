"""The processor: text, units and recordings in, batches of ids out; ids in, text and units out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, ProcessorMixin
from transformers.utils import cached_file

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.texts import check_encodable
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.rows.prompts import mixed_prompt, pad_codes, pad_left
from smoltolk.model.codec.codebooks import frames_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.generation.runs import split_runs
from smoltolk.model.ids import IdSpace
from smoltolk.speech.audio import resample
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer

Content = str | np.ndarray | torch.Tensor | Sequence[int]
Prompt = Content | Sequence[Content]
_UNITS = "units"  # the folder of the unit tokenizer beside the text tokenizer's files
_UNIT_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of what a model read or made.

    Attributes:
        modality: ``text`` or ``speech``.
        text: what is written, None for speech.
        units: int64 [n], from 0; of several codebooks frames [n, Q], -1 where one has yet to speak; None for text.
    """

    modality: Literal["text", "speech"]
    text: str | None = None
    units: np.ndarray | None = None


class SmolTolkProcessor(ProcessorMixin):
    """Prompts of text and speech for a SmolTolk model.

    A segment of a prompt is a text (``str``), units (integers [n], from 0; of several codebooks frames [n, Q]) or a
    recording (floating point [samples], mono), for which a unit tokenizer is needed. A prompt is one segment, or a list
    of them with ``<switch>`` put between text and speech. A batch is a list of prompts::

        processor(["Once upon a time", ["Say it back: ", units]], continue_in="speech")

    Args:
        tokenizer: of the text.
        space: where each kind of id lies: ``model.config.id_space``, or the same as a dict.
        units: the unit tokenizer that the model was trained with, or its directory; None: recordings cannot be read.
        unit_fingerprint: what the unit tokenizer must have, if it is known.

    Raises:
        NotFoundError: no unit tokenizer in the directory.
        InputError: no id space, a tokenizer that is longer than the text model, or a unit tokenizer for other units.
    """

    def __init__(
        self,
        tokenizer: Any,
        space: IdSpace | dict[str, Any] | None = None,
        units: UnitTokenizer | Path | str | None = None,
        unit_fingerprint: str | None = None,
        chat_template: str | None = None,
    ):
        if space is None:
            raise InputError(
                "a processor must know where text and speech ids lie", "space = None", "give model.config.id_space"
            )
        self.space = space if isinstance(space, IdSpace) else _space_of(space)
        self.space.check_tokenizer(tokenizer)
        self.units = load_unit_tokenizer(units) if isinstance(units, Path | str) else units
        self.unit_fingerprint = unit_fingerprint
        if self.units is not None:
            self._check_unit_tokenizer(self.units)
        super().__init__(tokenizer, chat_template=chat_template)

    # ------------------------------------------------------------------ in

    def __call__(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        continue_in: Literal["text", "speech"] | None = None,
        sample_rate: int | None = None,
    ) -> BatchFeature:
        """Make a batch that ``generate()`` continues.

        Args:
            prompts: a list is a batch of prompts; anything else is one segment, a batch of its own.
            continue_in: modality of what is to come; None: each prompt goes on as it ended.
            sample_rate: of recordings, Hz; None: that of the unit tokenizer.

        Returns:
            ``input_ids`` and ``attention_mask``, int64 [B, T], padded on the left; for several codebooks ``codes`` too,
            int64 [B, T + n, Q - 1], as ``generate()`` takes them.

        Raises:
            InputError: an empty prompt or segment, units out of range, a recording without a unit tokenizer.
        """
        return self._batch(
            [self.document(one, continue_in=continue_in, sample_rate=sample_rate) for one in _as_list(prompts)]
        )

    def recognition(self, speech: Content | Sequence[Content], *, sample_rate: int | None = None) -> BatchFeature:
        """Prompts that a model trained on recognition continues with what is said; as for a call."""
        return self._batch([self.recognition_document(one, sample_rate=sample_rate) for one in _as_list(speech)])

    def synthesis(self, text: str | Sequence[str]) -> BatchFeature:
        """Prompts that a model trained on synthesis continues by speaking the text; as for a call."""
        return self._batch([self.synthesis_document(one) for one in _as_list(text)])

    def document(
        self,
        prompt: Prompt,
        *,
        continue_in: Literal["text", "speech"] | None = None,
        sample_rate: int | None = None,
    ) -> Document:
        """One prompt by itself, which knows its length; arguments and errors are those of a call."""
        if continue_in not in (None, "text", "speech"):
            raise InputError("a prompt is continued in text or in speech", repr(continue_in), "choose one of them")
        segments = [self._read(content, sample_rate) for content in _as_list(prompt)]
        in_speech = None if continue_in is None else continue_in == "speech"
        return mixed_prompt(self.space, segments, continue_in_speech=in_speech)

    def recognition_document(self, speech: Content, *, sample_rate: int | None = None) -> Document:
        """One prompt of :meth:`recognition` by itself."""
        return recognition_prompt(self.space, self._read(speech, sample_rate, wanted="speech")[1])

    def synthesis_document(self, text: str) -> Document:
        """One prompt of :meth:`synthesis` by itself."""
        return synthesis_prompt(self.space, self._read(text, None, wanted="text")[1])

    def _batch(self, rows: list[Document]) -> BatchFeature:
        if not rows:
            raise InputError("a batch has a prompt at least", "none", "give one")
        input_ids, attention_mask = pad_left([row.input_ids for row in rows], self.space.eos_text)
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.space.num_codebooks > 1:
            batch["codes"] = pad_codes(rows, input_ids.shape[1], self.space.num_codebooks - 1)
        return BatchFeature(batch)

    def segment(self, content: Content, *, sample_rate: int | None = None) -> tuple[bool, np.ndarray]:
        """One segment by itself: whether it is speech, and its text ids or units; errors as of a call."""
        return self._read(content, sample_rate)

    def _read(self, content: Any, sample_rate: int | None, wanted: str | None = None) -> tuple[bool, np.ndarray]:
        """Whether a segment is speech, and its text ids or units."""
        modality = "text" if isinstance(content, str) else "speech"
        if wanted not in (None, modality):
            raise InputError(f"this prompt is made of {wanted}", modality, f"give {wanted}")
        if isinstance(content, str):
            check_encodable(content, "a text")
            self.space.check_tokenizer(self.tokenizer)  # again: words may have been added since
            return False, np.asarray(plain_ids(self.tokenizer, content), np.int64)
        values = content.detach().cpu().numpy() if isinstance(content, torch.Tensor) else np.asarray(content)
        if values.ndim == 1 and np.issubdtype(values.dtype, np.floating) and values.size:
            return True, self._encode(values, sample_rate)
        several = self.space.num_codebooks > 1
        width = values.shape[1:] == ((self.space.num_codebooks,) if several else ())
        if not values.ndim or not width or not np.issubdtype(values.dtype, np.integer) or not values.size:
            form = f"[n, {self.space.num_codebooks}]" if several else "[n]"
            raise InputError(
                f"a segment is a text, units (integers {form}) or a recording (floating point [samples])",
                f"{type(content).__name__} of shape {values.shape} and type {values.dtype}",
                "give one of them, not empty; mix the channels of a recording down",
            )
        if values.min() < 0 or values.max() >= self.space.num_units:
            raise InputError(
                f"units must be 0 .. {self.space.num_units - 1}",
                f"{values.min()} .. {values.max()}",
                "take the offset of the speech ids off, and use the codebook that the model was trained with",
            )
        return True, values

    def _encode(self, waveform: np.ndarray, sample_rate: int | None) -> np.ndarray:
        if self.units is None:
            raise InputError(
                "a recording becomes units by the unit tokenizer that the model was trained with",
                "none in this processor",
                "SmolTolkProcessor.from_pretrained(MODEL, units=DIRECTORY), or give units",
            )
        own = self.units.sample_rate
        return self.units.encode([resample(waveform.astype(np.float32), sample_rate or own, own)])[0].units

    # ------------------------------------------------------------------ out

    def split(
        self, ids: Sequence[int] | np.ndarray | torch.Tensor, codes: np.ndarray | torch.Tensor | None = None
    ) -> list[Segment]:
        """What ids say: runs of text and of units, in order. Control ids, ends and padding are left out.

        Args:
            ids: [T], e.g. a row of what ``generate()`` returns, with or without its prompt.
            codes: [T, Q - 1], those beside them, for frames of several codebooks; None: units of the first alone.
        """
        values = np.asarray(ids.cpu() if isinstance(ids, torch.Tensor) else ids)
        if values.ndim != 1:
            raise InputError("ids of one row are split at a time", f"shape {values.shape}", "use batch_split")
        runs = split_runs(values.tolist(), self.space)
        said = iter([np.array(run.ids, np.int64) for run in runs if run.is_speech])
        if codes is not None:
            frames = frames_of(torch.from_numpy(values.astype(np.int64)), torch.as_tensor(codes).cpu(), self.space)
            said = iter([run.numpy() for run in frames])
        return [
            Segment("speech", units=next(said))
            if run.is_speech
            else Segment("text", text=self.tokenizer.decode(run.ids, skip_special_tokens=True))
            for run in runs
        ]

    def batch_split(
        self, ids: Sequence[Any] | np.ndarray | torch.Tensor, codes: np.ndarray | torch.Tensor | None = None
    ) -> list[list[Segment]]:
        """:meth:`split` of each row of ids [B, T], with codes [B, T, Q - 1] or without."""
        return [self.split(row, None if codes is None else codes[number]) for number, row in enumerate(ids)]

    def decode(self, ids: Sequence[int] | np.ndarray | torch.Tensor, **kwargs: Any) -> str:
        """Ids [T] as one line to read: text as it is, units in brackets, ``Say it: [3 17 4]``."""
        return "".join(
            f"[{' '.join(map(str, one.units))}]" if one.units is not None else one.text or "" for one in self.split(ids)
        )

    def batch_decode(self, ids: Sequence[Any] | np.ndarray | torch.Tensor, **kwargs: Any) -> list[str]:
        """:meth:`decode` of each row of ids [B, T]."""
        return [self.decode(row) for row in ids]

    # ------------------------------------------------------------------ to and from disk and hub

    def to_dict(self) -> dict[str, Any]:
        """What ``processor_config.json`` holds."""
        return {
            "processor_class": type(self).__name__,
            "space": asdict(self.space),
            "unit_fingerprint": self.unit_fingerprint,
        }

    def save_pretrained(self, save_directory: Path | str, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write tokenizer and ids, and the unit tokenizer into ``units/``; see ``ProcessorMixin``."""
        if self.units is not None:  # first, so that a push finds it there
            self.units.save(Path(save_directory) / _UNITS)
        return super().save_pretrained(str(save_directory), push_to_hub=push_to_hub, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Path | str, units: UnitTokenizer | Path | str | None = None, **kwargs: Any
    ) -> SmolTolkProcessor:
        """Load a processor, or make one for a model that was saved with its tokenizer alone.

        Args:
            pretrained_model_name_or_path: hub id or directory.
            units: as above; by default what lies there in ``units/``.
            kwargs: of ``ProcessorMixin.from_pretrained``.

        Raises:
            InputError: as for the class; or neither a processor nor a model there, or one from before ids moved.
        """
        name = str(pretrained_model_name_or_path)
        if units is None:
            units = _units_beside(name, **kwargs)
        described, _ = cls.get_processor_dict(name, **kwargs)
        if "space" not in described:
            config = _config_beside(name, **kwargs)
            kwargs |= {"space": asdict(config.id_space), "unit_fingerprint": config.unit_fingerprint}
        made = super().from_pretrained(name, units=units, **kwargs)
        for ours in (
            "units",
            "space",
            "unit_fingerprint",
        ):  # transformers gives them to the tokenizer too, which saves them
            made.tokenizer.init_kwargs.pop(ours, None)
        return made

    def _check_unit_tokenizer(self, units: UnitTokenizer) -> None:
        several = units.num_codebooks != self.space.num_codebooks
        if units.num_units != self.space.num_units or several or self.unit_fingerprint not in (None, units.fingerprint):
            wanted = _size(self.space) + (f" ({self.unit_fingerprint[:16]})" if self.unit_fingerprint else "")
            raise InputError(
                "a model hears the units that it was trained with",
                f"a tokenizer of {_size(units)} units ({units.fingerprint[:16]}), a model of {wanted}",
                "name the unit tokenizer of this model",
            )


def _size(units: UnitTokenizer | IdSpace) -> str:
    return f"{units.num_codebooks} x {units.num_units}" if units.num_codebooks > 1 else f"{units.num_units}"


def _config_beside(name: str, **kwargs: Any) -> SmolTolkConfig:
    """The configuration of the model that a processor without an id space belongs to."""
    try:
        # Where there is none, transformers would make one of defaults.
        found = SmolTolkConfig.get_config_dict(name, **kwargs)[0].get("model_type")
    except OSError as error:
        found = first_line(error)
    if found != SmolTolkConfig.model_type:
        raise InputError(
            "a processor knows where text and speech ids lie, or lies beside its model",
            f"neither in {name!r}, a model of type {found!r} there",
            "save the processor again: SmolTolkProcessor(tokenizer, model.config.id_space).save_pretrained(DIRECTORY)",
        )
    return SmolTolkConfig.from_pretrained(name, **kwargs)


def _space_of(fields: dict[str, Any]) -> IdSpace:
    """The id space as JSON gives it back."""
    held: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return IdSpace(**held)


def _as_list(value: Any) -> list[Any]:
    """A list or tuple as it is, but not one of numbers: those are units."""
    if isinstance(value, list | tuple) and not (value and all(isinstance(one, Real) for one in value)):
        return list(value)
    return [value]


def _units_beside(name: str, **kwargs: Any) -> str | None:
    """The directory of the unit tokenizer that lies with a processor here or on the hub, if there is one."""
    files = [
        cached_file(
            name,
            f"{_UNITS}/{file}",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,  # what was fetched before is enough
            **kwargs,
        )
        for file in _UNIT_FILES
    ]
    return None if None in files else str(Path(files[0]).parent)


AutoProcessor.register(SmolTolkConfig, SmolTolkProcessor, exist_ok=True)
