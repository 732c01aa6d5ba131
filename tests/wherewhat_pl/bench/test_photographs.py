import pytest

from data_modules.photographs.generated_faces import write_generated_faces
from wherewhat_pl.bench.photographs import reading_benchmark


@pytest.mark.slow
def test_the_memory_map_is_ten_times_as_fast_as_a_loader_that_decodes(tmp_path):
    write_generated_faces(tmp_path, 400, layout="celeba")
    assert reading_benchmark(tmp_path, seconds=1.0)["ratio"] >= 10  # about a hundred on two cores
