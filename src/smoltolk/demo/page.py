"""The page itself, in Gradio: what one puts in, and a column for each model."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from smoltolk.common.errors import SmolTolkError, require
from smoltolk.demo.limits import Limits
from smoltolk.demo.looks import STYLE

if TYPE_CHECKING:
    from smoltolk.demo.answering import View
    from smoltolk.inference.speech_text import SpeechText

PURPOSE = "the page"
_LOADING = "Still loading; an answer will take longer."


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the page.

    Attributes:
        name: shown above its column.
        talker: it, maybe still to come: whoever asks waits.
    """

    name: str
    talker: Future[SpeechText] = field(default_factory=Future)

    @classmethod
    def of(cls, name: str, talker: SpeechText) -> Model:
        """One that is there."""
        model = cls(name)
        model.talker.set_result(talker)
        return model


def streams_sound() -> bool:
    """Whether sound can be played while it is made: Gradio passes it through ffmpeg."""
    return shutil.which("ffmpeg") is not None


def build(models: Sequence[Model], limits: Limits, example: str = "") -> Any:
    """The page.

    Args:
        models: one, or two side by side.
        limits: of what is put in and asked for.
        example: shown in the empty text field.

    Returns:
        ``gradio.Blocks``, its queue set up, not yet launched.

    Raises:
        MissingExtraError: the extra ``demo`` is not installed.
    """
    gr = require("gradio", PURPOSE)
    streams = streams_sound()
    with gr.Blocks(title="SmolTolk", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(
            "# SmolTolk\nSpeak, upload a recording, or write: the model goes on, in writing and aloud. "
            "Its voice is a machine's."
            + ("" if streams else " Sound comes when it is whole: to play it while it is made, install `ffmpeg`.")
        )
        with gr.Row():
            with gr.Column(min_width=280):
                recording = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label=f"A recording, {limits.seconds:g} s at most",
                    buttons=[],
                    elem_id="recording",
                )
            with gr.Column(min_width=280):
                text = gr.Textbox(
                    label="Text; with a recording it stands before it",
                    placeholder=example,
                    lines=3,
                    max_length=limits.letters,
                    elem_id="text",
                )
                with gr.Row():
                    go = gr.Button("Go on", variant="primary", elem_id="go", min_width=120)
                    stop = gr.Button("Stop", elem_id="stop", min_width=80)
        with gr.Accordion("Settings", open=False), gr.Row():
            temperature = gr.Slider(0, 1.5, 0.8, step=0.1, label="Temperature; 0: the likeliest", min_width=180)
            longest, most = limits.answer_seconds, limits.answer_tokens
            seconds = gr.Slider(1, longest, min(6, longest), step=1, label="Seconds of speech", min_width=180)
            tokens = gr.Slider(1, most, min(40, most), step=1, label="Tokens of text", min_width=180)
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**32 - 1, min_width=120)
        with gr.Row():
            columns = [_column(gr, model, number, streams) for number, model in enumerate(models)]
        outputs = [part for column in columns for part in column]
        asked = gr.on(
            [go.click, text.submit],
            _answering(models, limits, len(outputs), gr.Error, streams),
            [recording, text, temperature, seconds, tokens, seed],
            outputs,
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[column[-1] for column in columns],
        )
        where = dict(zip([column[-1] for column in columns], models, strict=True))
        page.load(
            lambda: {told: "" if model.talker.done() else _LOADING for told, model in where.items()},
            None,
            list(where),
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        stop.click(None, cancels=[asked], api_visibility="private")
    page.queue(max_size=limits.waiting, default_concurrency_limit=1, api_open=False)
    return page


def launch_settings() -> dict[str, Any]:
    """Of ``Blocks.launch``: looks without anything from elsewhere, and no more of the machine than the page needs."""
    gr = require("gradio", PURPOSE)
    theme = gr.themes.Default(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return {
        "theme": theme, "css": STYLE, "footer_links": [], "quiet": True, "share": False, "ssr_mode": False,
        "max_file_size": "50mb", "enable_monitoring": False, "pwa": False, "mcp_server": False,
    }  # fmt: skip


def _column(gr: Any, model: Model, number: int, streams: bool) -> list[Any]:
    """What is shown of one model: text, sound as it comes, whole sound, time line, where it is."""
    with gr.Column(min_width=320):
        gr.Markdown(f"## {model.name}")
        # It stands there at once; a page that is opened later is told otherwise when it has loaded.
        told = gr.Markdown("" if model.talker.done() else _LOADING, elem_id=f"told-{number}")
        text = gr.Textbox(label="Goes on in writing", interactive=False, lines=2, elem_id=f"written-{number}")
        live = gr.Audio(
            label="Goes on aloud, as it comes",
            interactive=False,
            streaming=True,
            autoplay=True,
            buttons=["download"],
            visible=streams,
            elem_id=f"live-{number}",
        )
        whole = gr.Audio(
            label="Goes on aloud", interactive=False, format="wav", buttons=["download"], elem_id=f"spoken-{number}"
        )
        drawing = gr.HTML("", elem_id=f"inside-{number}", js_on_load=None)
    return [text, live, whole, drawing, told]


def _answering(
    models: Sequence[Model], limits: Limits, num_outputs: int, error_of: Callable[[str], Exception], streams: bool
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """What a click starts: a generator of all outputs."""
    busy = threading.Lock()

    def run(
        path: str | None, text: str | None, temperature: float, seconds: float, tokens: int, seed: int
    ) -> Iterator[tuple[Any, ...]]:
        from gradio import skip

        yield tuple(part for one in models for part in ("", None, None, "", "" if one.talker.done() else _LOADING))
        with busy:  # models are not used by two at once
            for number, model in enumerate(models):
                try:
                    talker = model.talker.result()
                    # Not above: what a model takes is loaded behind the page.
                    from smoltolk.demo.answering import Wishes, answer
                    from smoltolk.demo.asking import prompt_of

                    wishes = Wishes(
                        max_tokens=min(int(tokens), limits.answer_tokens),
                        max_seconds=min(float(seconds), limits.answer_seconds),
                        temperature=float(temperature),
                        seed=int(seed),
                    )
                    for view in answer(talker, prompt_of(talker, path, text, limits), wishes):
                        parts = _parts(view, streams)
                        fresh = [skip()] * num_outputs
                        fresh[5 * number : 5 * number + 5] = [skip() if part is None else part for part in parts]
                        yield tuple(fresh)
                except SmolTolkError as error:
                    raise error_of(f"{error.rule}. Found: {error.found}. {error.fix}") from error

    return run


def _parts(view: View, streams: bool) -> list[Any]:
    """What of a view is new, as its components take it."""
    live = _pcm(*view.sound) if streams and view.sound is not None else None
    return [view.text, live, None if view.whole is None else _pcm(*view.whole), view.drawing, view.told]


def _pcm(rate: int, waveform: np.ndarray) -> tuple[int, np.ndarray]:
    """As Gradio takes it: whole numbers keep their loudness, others are stretched to full scale."""
    return rate, (np.clip(waveform, -1, 1) * 32767).astype(np.int16)
