"""The metrics are faster than the same definitions written straight down, and give the same."""

from __future__ import annotations

import pytest

from wherewhat_pl.bench import metrics as benchmark


@pytest.mark.slow
def test_speedups_hold_at_the_reference_s_sizes():
    numbers = benchmark.metrics_benchmark()
    for name in ("mig", "sap", "factor_vae"):
        assert numbers[name]["difference"] < 1e-9, name
        assert numbers[name]["speedup"] > 5, name  # 20 to 30 were measured; a test must hold on a busy machine, too
    assert numbers["dci"]["difference"] < 0.02
    assert numbers["dci"]["speedup"] > 3  # 4.8 to 6.7 were measured
    assert numbers["tpl"]["difference"] < 1e-4


def test_both_versions_agree_on_few_samples():
    table = benchmark.mixed_codes(num_codes=3)
    halves = benchmark.sample_halves(table, 200, 100)
    for numbers in (
        benchmark.mig_benchmark(halves),
        benchmark.sap_benchmark(halves),
        benchmark.factor_vae_benchmark(table, 100, 50),
    ):
        assert numbers["difference"] < 1e-9
        assert numbers["speedup"] > 0
