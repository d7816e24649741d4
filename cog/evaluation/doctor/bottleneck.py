"""Which step bounds the features of this machine, and what would be faster: a sentence.

In: measured rates. Out: words. Nothing is proposed that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

WORTH = 1.05  # times as fast: less is not worth an option
COPY = "the copy"
LOST = 0.85  # of what the steps alone promise: less is told


@dataclass(frozen=True)
class Speeds:
    """Images a second of each step alone and of all together."""

    kind: str
    """of the device: cpu, cuda or mps"""
    cores: int
    decode: float
    """decoded, resized and cropped by one core"""
    feed: Mapping[str, float]
    """options → read, decoded and resized on all cores; those of "" are the defaults"""
    copy: float | None
    """to the device; None where nothing is copied"""
    forward: Mapping[str, float]
    """options → the network alone, the default first"""
    together: Mapping[str, float]
    """options → from files to features on disk, the default first"""


def bottleneck(speeds: Speeds) -> str:
    """What bounds this machine, and which measured options would be faster.

    >>> speeds = Speeds("cuda", 16, 610, {"": 9100}, None, {"fp32": 7900, "bf16": 12000}, {})
    >>> for part in bottleneck(speeds).split(": ", 1): print(part)
    decoding on 16 cores gives 9,100 images/s, the network takes 7,900 (fp32)
    bound by the network; bf16 would give 9,100, bound by decoding
    """
    feed = speeds.feed[""]
    if not speeds.forward:
        return f"decoding gives {shown(feed)} images/s, and the network does not run"
    option, network = next(iter(speeds.forward.items()))
    cores = f"{speeds.cores} core{'s' if speeds.cores != 1 else ''}"
    words = (
        f"decoding on {cores} gives {shown(feed)} images/s, "
        f"the network takes {shown(network)} ({option}): {_bound(speeds, feed, network)}"
    )
    return "; ".join([words, *_lost(speeds), *_faster(speeds, feed, network)])


def shown(rate: float) -> str:
    """A rate for people.

    >>> shown(9123.4), shown(9.87)
    ('9,123', '9.9')
    """
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:,.1f}"


def promised(speeds: Speeds, feed: float, network: float) -> float:
    """Images a second of all steps together, of what each gives alone.

    On a CPU they share the cores: the seconds of an image add up. On a GPU the slowest decides.
    """
    if speeds.kind == "cpu":
        return 1 / (1 / feed + 1 / network)
    return min(feed, network, speeds.copy or network)


def shares(speeds: Speeds) -> dict[str, float]:
    """Options → what all together reach, over what each step alone promises with these options.

    >>> speeds = Speeds("cuda", 8, 610, {"": 4000}, None, {"fp32": 8000}, {"fp32": 3800})
    >>> shares(speeds)
    {'fp32': 0.95}
    """
    found = {}
    for option, together in speeds.together.items():
        network = next(rate for own, rate in speeds.forward.items() if option.startswith(own))
        own_feed = next((own for own in speeds.feed if own and option.endswith(own)), "")
        found[option] = together / promised(speeds, speeds.feed[own_feed], network)
    return found


def _bound(speeds: Speeds, feed: float, network: float) -> str:
    if speeds.kind == "cpu":
        share = promised(speeds, feed, network) / network
        step = "the network" if share >= 0.5 else "decoding"
        return f"bound by {step}, as both share the cores (the network has {share:.0%} of the time)"
    slowest = _slowest(speeds, feed, network)
    copy = f", {shown(speeds.copy)}" if speeds.copy and slowest == COPY else ""
    return f"bound by {slowest}{copy}"


def _slowest(speeds: Speeds, feed: float, network: float) -> str:
    rates = {"the network": network, "decoding": feed, COPY: speeds.copy or network}
    return min(rates, key=rates.__getitem__)


def _faster(speeds: Speeds, feed: float, network: float) -> list[str]:
    """The fastest options, if they are worth it: as measured all together, else as promised."""
    found: list[tuple[float, str]] = []
    measured = next(iter(speeds.together.values()), 0.0)
    for option, rate in speeds.together.items():
        if rate >= WORTH * measured:
            found.append((rate, f"{option} gives {shown(rate)}"))
    pairs = [(option, feed, rate) for option, rate in speeds.forward.items()
             if option not in speeds.together]  # fmt: skip
    pairs += [(option, rate, network) for option, rate in speeds.feed.items()
              if not any(each.endswith(option) for each in speeds.together)]  # fmt: skip
    for option, *alone in pairs:
        rate = promised(speeds, *alone)
        bound = "" if speeds.kind == "cpu" else f", bound by {_slowest(speeds, *alone)}"
        if rate >= WORTH * promised(speeds, feed, network):
            found.append((rate, f"{option} would give {shown(rate)}{bound}"))
    return [max(found, key=itemgetter(0))[1]] if found else []  # of equal ones the first


def _lost(speeds: Speeds) -> list[str]:
    """A line where all together are much slower than the steps alone promise."""
    if not speeds.together:
        return []
    option, share = next(iter(shares(speeds).items()))
    if share >= LOST:
        return []
    together = shown(speeds.together[option])
    return [f"all together reach {together}, {share:.0%} of what the steps promise"]
