import pytest

from wherewhat_pl.callbacks import cost
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


@pytest.fixture
def minutes(monkeypatch):
    """CPU time and clock go on by one minute and two whenever they are read."""

    class Clock:
        now = 0

        def process_time(self):
            self.now += 1
            return 60 * self.now

        def monotonic(self):
            return 120 * self.now

    monkeypatch.setattr(cost, "time", Clock())


@pytest.mark.slow
def test_a_continued_run_adds_to_what_it_cost_if_that_was_recorded(tiny, minutes):
    assert train(tiny("trainer.max_kimg=0.012"), []) == 0
    config = tiny("trainer.max_kimg=0.016")
    run = RunDir.of(config)
    first = read_rows(run.cost_file)
    assert first == [
        {"images_seen": 8, "cpu_minutes": 1, "wall_minutes": 2},
        {"images_seen": 12, "cpu_minutes": 2, "wall_minutes": 4},
    ]
    with run.cost_file.open("a") as file:  # of a checkpoint that was never whole, and a torn line
        file.write('{"images_seen": 16, "cpu_minutes": 9, "wall_minutes": 9}\n{"ima')
    assert train(config, []) == 0
    assert run.cost_at(12) == {"cpu_minutes": 2, "wall_minutes": 4}
    assert run.cost_at(16) == {"cpu_minutes": 3, "wall_minutes": 6}
    assert run.images_seen() == 16
    run.cost_file.unlink()
    assert train(tiny("trainer.max_kimg=0.020"), []) == 0
    assert run.cost_at(20) is None, "what the part before cost is unknown"
