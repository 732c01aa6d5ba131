"""The promise that batches built on the device are worth it."""

import pytest

from wherewhat_pl.bench.synthetic import benchmark_batches


@pytest.mark.slow
def test_batches_come_twenty_times_as_fast_as_from_the_published_files_layout():
    result = benchmark_batches(batch_size=16, seconds=0.5)
    assert result["rendered_over_h5"] > 20
    assert result["memory_map_over_h5"] > 20
