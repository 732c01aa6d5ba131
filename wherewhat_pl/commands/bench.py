"""Measure speed, as ratios from one run."""

from __future__ import annotations

from dataclasses import dataclass, field

EXAMPLE = "only=constriction,r1"


@dataclass(frozen=True)
class Settings:
    # constriction, r1, step, critic, memory, ranks, data, faces, metrics; none: all
    only: list[str] = field(default_factory=list)


def run(settings: Settings) -> int:
    from wherewhat_pl.bench.method import run_benchmarks

    return run_benchmarks(settings.only or None)
