"""The last step: what was trained, to talk with."""

from __future__ import annotations

from typing import Any

from smoltolk.inference.bundle_making import Origin, make_bundle
from smoltolk.quickstart.settings import Settings

_ORIGIN = Origin(
    data="stories of a generated world, spoken by espeak-ng; nothing of it was said or written by a person",
    voices="the vocoder's is a synthetic voice of espeak-ng, and so are all that the model has heard",
    license="apache-2.0",
    consent="no person speaks",
    languages=("en",),
)


def leave_bundle(settings: Settings) -> dict[str, Any]:
    """Put the late-fusion model, the units and the vocoder into ``OUT/bundle``; its large files are links.

    The figures of the card are those of ``results.json``, the sample goes on from a sentence that was held out.
    """
    made = make_bundle(
        settings.model("late"),
        settings.units,
        settings.vocoder,
        settings.out / "bundle",
        results=[settings.out / "results.json"],
        origin=_ORIGIN,
        sample=settings.test_story(0).sentences[0],
        system="late",
        link=True,
    )
    return {"files": len(made.record["files"]), "sample": made.record["sample"]}
