"""Rules by name: how others scored, and how we do.

Where a rule was read in published code, it says so; ``lf2ar`` is what a paper states, its code is not public.

``smoltolk-release``
    The paper's scripts (nll_eval.py, cross-modal_eval.py). Recordings without a prompt: mean NLL of all units behind
    ``<eos>``, without an end. Options behind a prompt: mean NLL of the option, no begin id, and for S->T the last ten
    text ids of another story's ending in front, without ``<switch>``. A tie is wrong, but for sWUGGY and sBLIMP, which
    the official scorer counts.
``lf2ar``
    Mean NLL of the option alone behind ``<eos>``; ten text ids of another story before S->T prompts; a tie is wrong.
``slamkit``
    Mean NLL of the whole sequence, its end included, behind ``<eos>``; prompt and option are one recording before they
    are encoded (metric/cross_modal_metric.py, model/unit_lm.py); a tie is half a point.
``ours``
    Mean NLL of the option behind ``<eos>``, without an end; a tie is half a point; pairs are added in nats.

A change stands behind the name: ``ours,normalisation=sum,first=50``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from smoltolk.common.errors import InputError, named
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.feeds import Feed

OFFICIAL = ("swuggy", "sblimp")  # tasks that have a scorer of their own, for which a tie is half a point


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule and what it needs to be fed.

    Attributes:
        name: as it was asked for.
        rule: how likelihoods become points.
        feed: which ids a model reads.
    """

    name: str
    rule: Rule
    feed: Feed

    def for_item(self, task: str, has_prompt: bool) -> NamedRule:
        """What it is for one kind of item: the published scripts differ between them."""
        if self.name.split(",")[0] != "smoltolk-release":
            return self
        rule, feed = self.rule, self.feed
        if not has_prompt:
            feed = replace(feed, begin="eos")
        if task in OFFICIAL and "ties=" not in self.name:
            rule = replace(rule, ties="0.5")
        return replace(self, rule=rule, feed=feed)


PRESETS = {
    "ours": NamedRule("ours", Rule(), Feed()),
    "smoltolk-release": NamedRule(
        "smoltolk-release", Rule(ties="wrong"), Feed(begin="none", prefix=10, prefix_switch=False)
    ),
    "lf2ar": NamedRule("lf2ar", Rule(ties="wrong"), Feed(prefix=10)),
    "slamkit": NamedRule("slamkit", Rule(scope="whole", score_end=True), Feed(end=True, joint="together")),
}


def rule_named(text: str) -> NamedRule:
    """A preset, with changes or without, e.g. ``ours,normalisation=sum,ties=first``.

    Raises:
        InputError: no such preset, or a change of something that it does not have.
    """
    name, *changes = text.split(",")
    found = named("a rule", name, PRESETS)
    rule, feed = found.rule, found.feed
    rule_names, feed_names = ({one.name for one in fields(kind)} for kind in (Rule, Feed))
    for change in changes:
        key, _, value = change.partition("=")
        if key in rule_names:
            rule = replace(rule, **{key: _value(value)})
        elif key in feed_names:
            feed = replace(feed, **{key: _value(value)})
        else:
            known = ", ".join(sorted(rule_names | feed_names))
            raise InputError(f"a rule is changed in {known}", repr(change), "write NAME,KEY=VALUE")
    if rule.score_end and not feed.end:
        feed = replace(feed, end=True)
    return NamedRule(text, rule, feed)


def differences_of_feed(one: Feed, other: Feed) -> list[str]:
    """What one feed has that another has not, e.g. ``begin=eos``."""
    first, second = one.as_dict(), other.as_dict()
    return [f"{name}={value}" for name, value in first.items() if second[name] != value]


def _value(text: str) -> Any:
    words: dict[str, Any] = {"yes": True, "true": True, "no": False, "false": False, "all": None}
    if text.lower() in words:
        return words[text.lower()]
    return int(text) if text.isdecimal() else text
