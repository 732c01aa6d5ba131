"""What moves in the pictures is the latent that the label names, where its mask is."""

import stat

import numpy as np
import pytest
import torch
from PIL import Image

from wherewhat_pl.analysis.traverse import along_with_masks, base_codes, values_of
from wherewhat_pl.cli import main
from wherewhat_pl.evaluation.results import append_result
from wherewhat_pl.interop.load import load
from wherewhat_pl.model import Model
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.pictures import video
from wherewhat_pl.pictures.animation import traversal_frames
from wherewhat_pl.pictures.pixels import tile, to_uint8


def cell(frame, number):
    """The image of a latent in an animation of one base code with masks, three latents in a row or column."""
    width, height = 2 * 66 + 10, 16 + 64 + 10
    across = frame.width // width
    left, top = number % across * width + 5, number // across * height + 16
    return np.asarray(frame.crop((left, top, left + 64, top + 64)))


def test_frames_show_each_latent_moving_there_and_back(trained):
    model = load(trained / "a")
    base, latents = base_codes(model, 0)[0], [2, 0]
    values = values_of(model, latents, 5)
    images, masks = along_with_masks(model, base, latents, values)
    for row, latent in enumerate(latents):
        code = base.repeat(5, 1)
        code[:, latent] = torch.linspace(-2, 2, 5)
        drawn, all_masks = model.generate(code, return_masks=True)
        torch.testing.assert_close(images[row], drawn)
        torch.testing.assert_close(masks[row], all_masks[:, latent])
    frames = traversal_frames(images[:, None], masks[:, None], ["two", "zero"])
    assert len(frames) == 8
    for number, column in enumerate([0, 1, 2, 3, 4, 3, 2, 1]):
        for row in range(2):
            assert np.array_equal(cell(frames[number], row), np.asarray(tile(to_uint8(images[row, column]))))


@pytest.mark.slow
def test_files_are_what_was_asked_for(runs, command):
    (runs / "a" / "latents.yaml").write_text("1: {name: object hue, sign: -1, range: [-1, 1.5]}\n")
    words = ("traverse", f"run={runs / 'a'}", "top=2", "seeds=2", "columns=3", "frames=4", "formats=gif,webp")
    status, printed, _ = command(*words)
    assert status == 0
    folder = runs / "a" / "traversed"
    assert sorted(path.name for path in folder.iterdir()) == [
        "seed0.png",
        "seed1.png",
        "traversal.gif",
        "traversal.webp",
    ]
    assert "(in order of change per pixel)" in printed
    for name in ("traversal.gif", "traversal.webp"):
        with Image.open(folder / name) as animation:
            assert (animation.n_frames, animation.size) == (6, (2 * 66 * 2 + 10, 2 * 90))
            pictures = []
            for number in range(6):
                animation.seek(number)
                pictures.append(np.asarray(animation.convert("RGB")).astype(int))
        assert np.abs(pictures[0] - pictures[3]).max() > 10, "the ends differ"
    with Image.open(folder / "seed0.png") as picture:
        assert picture.height == 18 + 2 * 66
    assert command(*words)[0] == 2
    assert command(*words, "force=1")[0] == 0


def test_the_longest_tpl_comes_first_where_it_was_measured(runs, command):
    details = {"mean": [0.2, 0.9, 0.4], "std": [0.0, 0.0, 0.0], "active": [False, True, True]}
    used = {"points": 5, "base_codes": 2, "threshold": 0.3, "low": -4.0, "high": 4.0}
    row = {"metric": "tpl_small", "seed": 0, "distance": "stlpips_vgg", "value": 1.3, "values": {"num_active": 2.0}}
    append_result(runs / "a" / "eval.jsonl", row | {"images_seen": 32, "details": details, "used": used})
    words = ("columns=2", "frames=2", "formats=gif")
    printed = command("traverse", f"run={runs / 'a'}", "top=2", *words)[1]
    assert "latents  latent 1, latent 2 (in order of tpl_small, stlpips_vgg)" in printed
    append_result(runs / "b" / "eval.jsonl", row | {"images_seen": 16, "details": details, "used": used})
    assert "change per pixel" in command("traverse", f"run={runs / 'b'}", *words)[1], "TPL of other weights"


def test_images_change_where_the_mask_is():
    """The masks of a last module reach the image through a 1x1 convolution only: outside of them nothing may move."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Model(Generator(["Const-6", "ResConv-up-2", "C_spgroup-1-3"], 3, FeatureMaps(6, 0, 6, 6), 6))
    places = torch.zeros(1, 3, 16, 16)
    places[0, 0, :5], places[0, 1, 6:, :8], places[0, 2, 8:12, 10:] = 1, 1, 1
    model.generator.blocks[1].masks = lambda x: places
    images, masks = along_with_masks(model, torch.zeros(3), [0, 1, 2], values_of(model, [0, 1, 2], 5))
    assert torch.equal(masks, places[0][:, None].expand(3, 5, 16, 16))
    change = images.diff(dim=1).abs().amax((1, 2))  # [3, 16, 16]
    assert change[places[0] == 0].max() == 0
    assert change[places[0] == 1].min() > 0.01


def test_mp4_is_left_to_ffmpeg_with_even_sides(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$0.words"\ncat > "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    frames = [Image.new("RGB", (13, 7), (k, 0, 0)) for k in range(3)]
    video.save_animation(frames, tmp_path / "a", "mp4", frame_ms=50)
    assert "-s 14x8 -r 20" in (tmp_path / "ffmpeg.words").read_text()
    pixels = np.frombuffer((tmp_path / "a").read_bytes(), np.uint8).reshape(3, 8, 14, 3)
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_without_ffmpeg_mp4_is_a_line_if_asked_for_and_a_note_if_not(runs, command, monkeypatch):
    monkeypatch.setattr("wherewhat_pl.analysis.moving.find_ffmpeg", lambda: None)
    words = ("traverse", f"run={runs / 'a'}", "columns=2", "frames=2")
    status, _, complaint = command(*words, "formats=mp4")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "formats=mp4: there is no ffmpeg" in complaint
    status, printed, _ = command(*words)
    assert status == 0
    assert "mp4      left out: there is no ffmpeg" in printed


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("formats=avi", "formats=avi: no such format; there are gif, webp, mp4"),
        ("top=0", "top=0: must be at least 1"),
        ("limit=-2", "limit=-2.0: must be above 0"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(trained, word, said, capsys):
    with pytest.raises(SystemExit):
        main(["traverse", f"run={trained / 'a'}", word])
    assert said in capsys.readouterr().err
