"""Verbs of bundles: make, info, push, pull."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.talking import Json, print_json

_NOT_STATED = "not stated"

app = typer.Typer()
bundle_app = typer.Typer(no_args_is_help=True, help="Bundles: all that talking takes, in one directory or repository.")
app.add_typer(bundle_app, name="bundle")


@bundle_app.command("make")
def bundle_make(
    model: Annotated[str, typer.Argument(help="Directory of a model, of `train`, or a hub id.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units that it was trained with.")],
    vocoder: Annotated[Path, typer.Argument(help="Directory of a vocoder; a codec's frames: the units again.")],
    out: Annotated[Path, typer.Argument(help="The bundle.")],
    results: Annotated[
        list[Path] | None, typer.Option(help="results.json of `quickstart` or `evaluate`, for the card; repeatable.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Which of the quick start's models it is; default: as its directory is called.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="For the card: what it learnt from.")] = None,
    voices: Annotated[str | None, typer.Option(help="For the card: whose voices these are.")] = None,
    license_: Annotated[str | None, typer.Option("--license", help="For the card, as the hub names it.")] = None,
    consent: Annotated[str | None, typer.Option(help="For the card: what the speakers agreed to.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Code of a language, e.g. en; repeatable.")] = None,
    sample: Annotated[str | None, typer.Option(help="A text that it goes on from, aloud, for the card.")] = None,
    temperature: Annotated[float, typer.Option(help="Of its answers; 0: always the most likely id.")] = 0.8,
    max_units: Annotated[int, typer.Option(help="Of a spoken answer.")] = 150,
    max_tokens: Annotated[int, typer.Option(help="Of a written answer.")] = 40,
    tuned: Annotated[
        bool | None,
        typer.Option(help="Turns are prompts, as `tune` teaches; default: if it learned that last."),
    ] = None,
) -> None:
    """Put a model, its units and a vocoder into one directory, with a card.

    Parts of other units are refused. The card says where data and voices come from: tell it.

    Example: smoltolk bundle make model units vocoder bundle --results run/results.json --license cc-by-4.0
    """
    from smoltolk.cli.printing import check_given, sampling_of
    from smoltolk.common.lock import hold
    from smoltolk.inference.bundle import BundleSettings
    from smoltolk.inference.bundle_making import Origin, make_bundle
    from smoltolk.inference.part_files import was_tuned

    check_given(Path(model), units=units, vocoder=vocoder)
    origin = Origin(data, voices, license_, consent, tuple(language or ()))
    takes_turns = was_tuned(model) if tuned is None else tuned
    settings = BundleSettings(sampling_of(temperature), max_units, max_tokens, takes_turns)
    with hold(out):
        make_bundle(
            model, units, vocoder, out, results=results or (), origin=origin, settings=settings, sample=sample,
            system=system,
        )  # fmt: skip
    _show(out, as_json=False)
    unsaid = [name for name in ("data", "voices", "license", "consent") if not getattr(origin, name)]
    if unsaid:
        options = " ".join(f"--{name}" for name in unsaid)
        print(
            f"note: of {', '.join(unsaid)} the card says {_NOT_STATED!r}; make it again with {options}", file=sys.stderr
        )


@bundle_app.command("info")
def bundle_info(
    bundle: Annotated[str, typer.Argument(help="Directory or hub id.")],
    as_json: Json = False,
) -> None:
    """Read a bundle whole, and say what it holds.

    Example: smoltolk bundle info quickstart/bundle
    """
    _show(bundle, as_json=as_json)


@bundle_app.command("push")
def bundle_push(
    bundle: Annotated[Path, typer.Argument(help="Directory of the bundle.")],
    repo: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option(help="If the repository is new.")] = False,
) -> None:
    """Upload a bundle to the Hugging Face Hub, in one commit.

    Example: smoltolk bundle push bundle me/my-talker
    """
    from smoltolk.inference.bundle_hub import push_bundle

    print(push_bundle(bundle, repo, private=private))


@bundle_app.command("pull")
def bundle_pull(
    repo: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub.")],
    out: Annotated[Path, typer.Argument(help="The bundle's directory here.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of the repository.")] = None,
) -> None:
    """Fetch a bundle from the Hugging Face Hub into a directory.

    Example: smoltolk bundle pull me/my-talker bundle
    """
    from smoltolk.common.lock import hold
    from smoltolk.inference.bundle_hub import pull_bundle

    with hold(out):
        pull_bundle(repo, out, revision=revision)
    _show(out, as_json=False)


def _show(bundle: Path | str, *, as_json: bool) -> None:
    from smoltolk.cli.printing import show
    from smoltolk.inference.bundle import open_bundle
    from smoltolk.inference.parts import load_config
    from smoltolk.model.interop.card import describe

    held = open_bundle(bundle, whole=True)
    record = held.record
    if as_json:
        print_json(dict(record))
        return
    files = record["files"]
    voices = f", voices {', '.join(record['speakers'])}" if record["speakers"] else ""
    show(
        f"bundle {bundle}",
        {
            "size": f"{sum(one['bytes'] for one in files.values()) / 1e6:.1f} MB in {len(files)} files",
            **describe(load_config(held.path)),
            "unit tokenizer": f"{record['units']}, {record['frame_rate']:g} frames a second",
            "vocoder": f"{record['vocoder']}, {record['speaking_rate']:,} Hz{voices}",
            "answers": f"{held.settings.max_units} units, {held.settings.max_tokens} tokens at most",
            "figures": f"{len(record['figures'])} in its card" if record["figures"] else "none",
            **{
                key: value if isinstance(value, str) else ", ".join(value or ()) or _NOT_STATED
                for key, value in record["origin"].items()
            },
        },
    )
