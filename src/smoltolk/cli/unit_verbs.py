"""Verbs of units: fit, measure, fetch, push, encode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from smoltolk.cli.options import HoldOut, Seed, read_ids

app = typer.Typer()
units_app = typer.Typer(no_args_is_help=True, help="Units: what a model reads and writes instead of sound.")
app.add_typer(units_app, name="units")

Dtype = Annotated[str, typer.Option(help="float32, or bfloat16: faster, slightly other units.")]
Device = Annotated[str, typer.Option(help="Where a pretrained encoder computes: cpu, cuda, ...")]

_TITLES = {
    "purity": ("purity", ".3f"),
    "pnmi": ("PNMI", ".3f"),
    "cross_voice_seen": ("edit distance across voices it learnt from", ".2f"),
    "cross_voice_unseen": ("edit distance across other voices", ".2f"),
    "units_per_second": ("units a second", ".1f"),
    "bits_per_second": ("bits a second", ".0f"),
}
_NOT_MEASURED = {
    "purity": "not measured: nobody knows the phones of the utterances held out",
    "pnmi": "not measured, for the same reason",
    "cross_voice_seen": "not measured: no two texts that two such voices both say",
    "cross_voice_unseen": "not measured: no two texts that two such voices both say",
}

_NOT_MEASURED_HERE = {
    "purity": "not measured: nobody knows the phones of this corpus",
    "pnmi": "not measured, for the same reason",
    "cross_voice_unseen": "not measured: no two texts that two voices both say",
}


@units_app.command("fit")
def units_fit(
    corpus: Annotated[Path, typer.Argument(help="Corpus: of `speak`, or of `corpus`.")],
    out: Annotated[Path, typer.Argument(help="The units' directory.")],
    encoder: Annotated[
        str, typer.Option(help="phones, mfcc, mhubert-25hz, hubert-50hz, or a hub id or directory of an encoder.")
    ] = "phones",
    layer: Annotated[int | None, typer.Option(help="Of an encoder by hub id or directory.")] = None,
    clusters: Annotated[
        int | None, typer.Option(help="Units; default: one for each phone, 100 of mfcc, 500 of others.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of training phones; 600 take about two minutes.")] = 600,
    kmeans_steps: Annotated[
        int, typer.Option(help="Of clustering at most, 4,096 frames each; it ends when it has settled.")
    ] = 1000,
    utterances: Annotated[int, typer.Option(help="Most to learn from; those of phones are held in memory.")] = 1000,
    frames: Annotated[int, typer.Option(help="Most frames to cluster; they are held in memory.")] = 200_000,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    hold_out: HoldOut = None,
    seed: Seed = 0,
) -> None:
    """Fit units on a corpus and print their quality on utterances held out.

    Phones are supervised: those of the synthesizer or the aligner are labels. With --clusters a codebook of what the
    phones are told by is fitted, which keeps more of the sound. All other encoders need no labels.

    Example: smoltolk units fit speech units --encoder hubert-50hz --clusters 500
    """
    from smoltolk.cli.printing import kept, show, tell_rejected
    from smoltolk.common.files import atomic_directory, write_jsonl
    from smoltolk.common.lock import hold
    from smoltolk.common.made import made_before, record
    from smoltolk.data.corpora.corpus import check_complete
    from smoltolk.data.fitting.unit_models import MFCC, PHONES, UnitFit, fit_units
    from smoltolk.speech.units.codebook import clusterer

    info = check_complete(corpus)
    default = {PHONES: 0, MFCC: 100}.get(encoder, 500)
    fit = UnitFit(
        encoder, layer, default if clusters is None else clusters, steps, kmeans_steps, utterances, frames, dtype,
        device, seed, held_out=read_ids(hold_out),
    )  # fmt: skip
    fit.check()
    command: dict[str, Any] = {"verb": "units fit", "corpus": info.digest, "utterances": utterances, "seed": seed}
    if fit.held_out:
        command |= {"held_out": list(fit.held_out)}
    if fit.needs_phones:
        command |= {"steps": steps}
    if fit.clusters:
        command |= {"encoder": encoder, "layer": layer, "clusters": fit.clusters, "kmeans_steps": kmeans_steps}
        command |= {"frames": frames, "dtype": dtype}
    with hold(out):
        figures = made_before(out, command)
        if figures is None:
            fitted = fit_units(corpus, fit)
            figures = {"num_units": fitted.tokenizer.num_units, "fingerprint": fitted.tokenizer.fingerprint}
            figures |= {"utterances": fitted.num_utterances, "frames": fitted.num_frames, **fitted.quality.as_dict()}
            figures |= {"clusterer": clusterer()} if fit.clusters else {}
            figures = {name: value for name, value in figures.items() if value == value}  # NaN: not measured
            figures |= {"rejected": len(fitted.rejected)}
            with atomic_directory(out) as directory:
                fitted.tokenizer.save(directory)
                write_jsonl(directory / "rejected.jsonl", (one.row() for one in fitted.rejected))
                record(directory, command, figures)
            tell_rejected(fitted.rejected, out / "rejected.jsonl")
        else:
            kept(out)
    rows = {"units": f"{figures['num_units']}, fingerprint {figures['fingerprint'][:16]}"}
    labels = " and their phones (supervised)" if fit.needs_phones else ", no labels"
    clustered = f", {figures['frames']} frames clustered" if figures.get("frames") else ""
    clustered += f" by {figures['clusterer']}" if "clusterer" in figures else ""
    rows |= {"learned from": f"{figures['utterances']} utterances{labels}{clustered}"}
    for name, (title, form) in _TITLES.items():
        rows[title] = format(figures[name], form) if name in figures else _NOT_MEASURED[name]
    if figures.get("rejected"):
        rows |= {"rejected": f"{figures['rejected']}, reasons in {out / 'rejected.jsonl'}"}
    show(f"units in {out}", rows)


@units_app.command("measure")
def units_measure(
    units: Annotated[Path, typer.Argument(help="Directory of the units, or hf://owner/name.")],
    corpus: Annotated[Path, typer.Argument(help="Corpus that they were not made of.")],
    utterances: Annotated[int, typer.Option(help="Most to measure on, drawn at random.")] = 200,
    device: Annotated[str, typer.Option(help="Where the encoder computes: cpu, cuda, ...")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="A .json file for the figures.")] = None,
    seed: Seed = 0,
) -> None:
    """Measure units that exist on another corpus.

    Purity and PNMI against the phones that the corpus knows, the edit distance
    between voices that say the same texts, rates, and the speed of encoding.

    Example: smoltolk units measure units others
    """
    from smoltolk.cli.printing import show, tell_rejected
    from smoltolk.common.files import write_json
    from smoltolk.data.fitting.unit_models import measure_corpus
    from smoltolk.speech.units.kinds import load_unit_tokenizer

    tokenizer = load_unit_tokenizer(units)
    tokenizer.to(device)
    measured = measure_corpus(corpus, tokenizer, utterances, seed)
    figures = {name: value for name, value in measured.quality.as_dict().items() if value == value}
    rows = {"units": f"{tokenizer.num_units}, fingerprint {tokenizer.fingerprint[:16]}"}
    rows |= {"measured on": f"{measured.num_utterances} utterances, {figures['num_seconds'] / 60:.1f} minutes"}
    titles = {name: title for name, title in _TITLES.items() if name != "cross_voice_seen"}
    titles["cross_voice_unseen"] = ("edit distance across voices", ".2f")
    for name, (title, form) in titles.items():
        rows[title] = format(figures[name], form) if name in figures else _NOT_MEASURED_HERE.get(name, "not measured")
    speed = measured.speech_seconds / measured.seconds
    rows |= {"encoded": f"{speed:.0f} x real time, reading included"}
    tell_rejected(measured.rejected)
    show(f"units in {units}, on {corpus}", rows)
    if out is not None:
        more = {"utterances": measured.num_utterances, "rejected": len(measured.rejected), "x_real_time": speed}
        write_json(out, {"fingerprint": tokenizer.fingerprint, **figures, **more})


@units_app.command("fetch")
def units_fetch(
    name: Annotated[str, typer.Argument(help="mhubert-25hz, hubert-50hz, or a hub id or directory.")],
    out: Annotated[Path, typer.Argument(help="The units' directory.")],
    layer: Annotated[int | None, typer.Option(help="Of an encoder by hub id or directory.")] = None,
    codebook: Annotated[
        Path | None, typer.Option(help="Centres: .safetensors, .npy, or a k-means pickle; default: the published.")
    ] = None,
    codebooks: Annotated[int | None, typer.Option(help="Of a codec: the first so many; default: all.")] = None,
    codec: Annotated[bool, typer.Option("--codec", help="It is a neural codec, e.g. kyutai/mimi.")] = False,
    dtype: Dtype = "float32",
) -> None:
    """Keep a published encoder with its codebook, or a neural codec, as units.

    Pickled codebooks are read by a reader that runs no code, and are kept as safetensors.

    Example: smoltolk units fetch mhubert-25hz units
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.errors import InputError
    from smoltolk.common.files import atomic_directory
    from smoltolk.common.lock import hold
    from smoltolk.common.made import digest_of_file, made_before, record
    from smoltolk.speech.units.codecs import CodecUnitTokenizer
    from smoltolk.speech.units.published import pretrained_units
    from smoltolk.speech.units.tokenizer import UnitTokenizer

    if codec and (layer is not None or codebook is not None or dtype != "float32"):
        raise InputError("a codec has its codebooks in it", "--layer, --codebook or --dtype", "leave them out")
    if codebooks is not None and not codec:
        raise InputError("a number of codebooks is asked of a codec", "--codebooks without --codec", "add --codec")
    command: dict[str, Any] = {"verb": "units fetch", "name": name, "layer": layer, "dtype": dtype, "codec": codec}
    command |= {"codebook": digest_of_file(codebook) if codebook and codebook.is_file() else None}
    command |= {"codebooks": codebooks}
    with hold(out):
        figures = made_before(out, command)
        if figures is None:
            tokenizer: UnitTokenizer
            if codec:
                tokenizer = CodecUnitTokenizer.from_pretrained(name, codebooks)
            else:
                tokenizer = pretrained_units(name, layer=layer, codebook=codebook, dtype=dtype)
            figures = {"num_units": tokenizer.num_units, "num_codebooks": tokenizer.num_codebooks}
            figures |= {"frame_rate": tokenizer.frame_rate, "sample_rate": tokenizer.sample_rate}
            figures |= {"fingerprint": tokenizer.fingerprint}
            with atomic_directory(out) as directory:
                tokenizer.save(directory)
                record(directory, command, figures)
        else:
            kept(out)
    rows = {
        "units": f"{figures['num_units']}, fingerprint {figures['fingerprint'][:16]}",
        "codebooks": f"{figures['num_codebooks']}",
        "frames a second": f"{figures['frame_rate']:g}, of sound at {figures['sample_rate']} Hz",
    }
    show(f"units in {out}", rows)


@units_app.command("push")
def units_push(
    units: Annotated[Path, typer.Argument(help="Directory of the units.")],
    repo: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option(help="If the repository is new.")] = False,
) -> None:
    """Upload units to the Hugging Face Hub; `hf://owner/name` names them in place of a directory.

    Example: smoltolk units push units me/my-units
    """
    from smoltolk.speech.units.kinds import load_unit_tokenizer

    print(load_unit_tokenizer(units).push(repo, private=private))


@units_app.command("encode")
def units_encode(
    audio: Annotated[list[Path], typer.Argument(help="Recordings: wav, flac, ogg, mp3, m4a, ...")],
    units: Annotated[Path, typer.Option(help="Directory of the units, or hf://owner/name.")],
    out: Annotated[Path | None, typer.Option(help="A .jsonl file; default: the terminal.")] = None,
    device: Annotated[str, typer.Option(help="Where the encoder computes: cpu, cuda, ...")] = "cpu",
) -> None:
    """Print the units of recordings, a JSON line each.

    A line has id, units, durations (in frames) and the units' fingerprint. A codec's units are a list a frame.

    Example: smoltolk units encode a.wav --units units --out units.jsonl
    """
    import json
    from collections import Counter
    from collections.abc import Iterator

    from smoltolk.cli.printing import tell_if_strange, tell_rejected
    from smoltolk.common.files import atomic_file
    from smoltolk.common.rejection import Rejected
    from smoltolk.speech.units.files import encode_files
    from smoltolk.speech.units.kinds import load_unit_tokenizer

    tokenizer = load_unit_tokenizer(units)
    tokenizer.to(device)
    stems = Counter(path.stem for path in audio)
    rejected: list[Rejected] = []

    def lines() -> Iterator[str]:
        for path, found in encode_files(tokenizer, audio, rejected, tell_if_strange):
            name = path.stem if stems[path.stem] == 1 else "-".join(path.with_suffix("").parts).strip("/-.")
            numbers = {"units": found.units.tolist(), "durations": found.durations.tolist()}
            yield json.dumps({"id": name, **numbers, "fingerprint": tokenizer.fingerprint}, ensure_ascii=False)

    def write_lines(path: Path) -> int:
        with path.open("w", encoding="utf-8") as file:
            return sum(file.write(line + "\n") > 0 for line in lines())

    count = 0
    if out is None:
        for line in lines():
            print(line)
            count += 1
    else:
        with atomic_file(out) as temporary:
            count = write_lines(temporary)
            if not count:
                tell_rejected(rejected)
                raise typer.Exit(1)
        print(f"{count} recordings in {out}")
    tell_rejected(rejected)
    if not count:
        raise typer.Exit(1)
