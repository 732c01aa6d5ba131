from wherewhat_pl.train import train


def test_without_a_terminal_each_state_is_one_plain_line(tiny, monkeypatch, capsys):
    monkeypatch.setattr("wherewhat_pl.callbacks.progress.SECONDS_BETWEEN_LINES", 0.0)
    assert train(tiny("trainer.max_kimg=0.016", "logger.interval_kimg=0.004"), []) == 0
    written = capsys.readouterr().err
    lines = [line for line in written.splitlines() if line.startswith("training:")]
    assert [line.split()[2] for line in lines] == ["4.00/16.0", "8.00/16.0", "12.0/16.0", "16.0/16.0"]
    assert all("img/s" in line and "PS=" in line for line in lines)
    assert "\r" not in written
