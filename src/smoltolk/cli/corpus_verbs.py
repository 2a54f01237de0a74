"""Verbs that make texts and corpora: world, corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Workers = Annotated[int | None, typer.Option(help="Processes; default: one per processor; 0: no others.")]


@app.command()
def world(
    out: Annotated[Path, typer.Argument(help="The world's directory.")],
    seed: Annotated[int, typer.Option(help="Of the facts and the stories.")] = 0,
    facts: Annotated[int, typer.Option(help="Half of them are only ever read; a multiple of 12.")] = 48,
    stories: Annotated[int, typer.Option(help="Of each list: to read, and to speak.")] = 4000,
    questions: Annotated[int, typer.Option(help="About stories, and about each kind of facts; even.")] = 500,
) -> None:
    """Write a small world of stories, facts and questions, as material.

    text.txt and stories.jsonl (all facts, to read), spoken.jsonl (heard facts
    only, to speak), clozes.jsonl (questions), questions.jsonl (their options as
    texts to speak), facts.json.

    Example: smoltolk world world --stories 400
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.errors import InputError
    from smoltolk.common.files import atomic_directory, write_jsonl
    from smoltolk.common.made import made_before, record
    from smoltolk.data.stories import World
    from smoltolk.data.world_files import ask_all, write_world
    from smoltolk.evaluation.cloze import option_texts

    if stories < 1 or questions < 0 or questions % 2:
        found = f"--stories {stories} --questions {questions}"
        raise InputError("a world has a story at least, and an even number of questions", found, "correct them")
    made = World(seed, facts)
    command = {"verb": "world", "seed": seed, "facts": facts, "stories": stories, "questions": questions}
    figures = made_before(out, command)
    if figures is None:
        clozes = ask_all(made, questions, questions)
        # Both options of a question are spoken by one voice.
        options = ({"id": i, "text": t, "voice": k // 2} for k, (i, t) in enumerate(option_texts(clozes)))
        figures = {"facts": len(made.facts), "questions": len(clozes), "words": len(made.vocabulary)}
        with atomic_directory(out) as directory:
            write_world(directory, made, stories, clozes)
            write_jsonl(directory / "questions.jsonl", options)
            record(directory, command, figures)
    else:
        kept(out)
    show(f"world in {out}", {**figures, "stories": f"{stories} to read, {stories} to speak"})


@app.command()
def corpus(
    folder: Annotated[Path, typer.Argument(help="wav, flac, ogg or mp3, each with a .txt of the same name.")],
    out: Annotated[Path, typer.Argument(help="The corpus directory; an interrupted one goes on.")],
    align: Annotated[bool, typer.Option(help="Find the times of words and phones; English only.")] = True,
    link: Annotated[bool, typer.Option(help="Link to the recordings instead of copying them as flac.")] = False,
    lowest_score: Annotated[float, typer.Option(help="Reject alignments below; clear speech has -2 to -4.")] = -5.0,
    language: Annotated[str, typer.Option(help="Kept with every utterance.")] = "en",
    workers: Workers = None,
) -> None:
    """Make a corpus of your own recordings, with what is said in a .txt beside each.

    A forced aligner finds the time of every word. What cannot be used goes to
    OUT/rejected.jsonl with its reason: no text, no audio, more than three
    minutes, or sound that does not say its text. The first folder below FOLDER
    is the name of the speaker.

    Example: smoltolk corpus recordings corpus
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.recordings import collect

    counts = collect(folder, out, align=align, link=link, lowest_score=lowest_score, language=language, workers=workers)
    show_counts(counts, out)
