import random
import shutil

import pytest
import torch

from wherewhat_pl.errors import CheckpointError
from wherewhat_pl.run.checkpoints import load_checkpoint, seal


@pytest.fixture
def sealed(tmp_path):
    """A checkpoint of 100,000 numbers."""
    path = tmp_path / "images-000000008.ckpt"
    torch.save({"images_seen": 8, "config": {}, "state_dict": {"w": torch.randn(100, 1000)}}, path)
    seal(path)
    return path


def test_a_sealed_checkpoint_reads_back(sealed):
    assert load_checkpoint(sealed)["images_seen"] == 8
    assert torch.load(sealed, weights_only=True)["state_dict"]["w"].shape == (100, 1000), "any torch reads it too"


@pytest.mark.parametrize("damage", ["bit", "zeros", "cut", "longer"])
@pytest.mark.parametrize("is_sealed", [True, False])
def test_every_damage_is_noticed(sealed, tmp_path, damage, is_sealed):
    """Sixty places over the whole file, its first and last bytes among them."""
    if not is_sealed:  # from before there were seals: the archive's own checksums; they do not cover its padding
        torch.save(torch.load(sealed, weights_only=True), sealed)
    content = sealed.read_bytes()
    random.seed(0)
    places = [0, 1, len(content) - 1, len(content) - 5, *(random.randrange(len(content)) for _ in range(56))]
    unnoticed, messages = [], []
    for place in places:
        broken = bytearray(content)
        if damage == "bit":
            broken[place] ^= 1 << random.randrange(8)
        elif damage == "zeros":
            broken[place : place + 64] = bytes(len(broken[place : place + 64]))
        elif damage == "cut":
            del broken[place:]
        else:
            broken[place:place] = b"x"
        if bytes(broken) == content:
            continue
        path = tmp_path / "broken.ckpt"
        path.write_bytes(broken)
        try:
            loaded = load_checkpoint(path)["state_dict"]["w"]
        except CheckpointError as error:
            messages.append(str(error))
        else:
            unnoticed.append(place)
            assert torch.equal(loaded, torch.load(sealed, weights_only=True)["state_dict"]["w"]), "other weights"
    assert not unnoticed or not is_sealed
    assert all("broken.ckpt" in message and "\n" not in message for message in messages)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_seen": -8}, "images_seen=-8 is no count"),
        ({"images_seen": "8"}, "images_seen='8' is no count"),
        ({"images_seen": True}, "is no count"),
        ({"state_dict": {"w": 3}}, "something else than tensors"),
        ({"state_dict": None}, "something else than tensors"),
    ],
)
def test_content_of_another_kind_is_one_line(sealed, change, message):
    torch.save(torch.load(sealed, weights_only=True) | change, sealed)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(sealed)


def test_another_file_is_one_line(tmp_path):
    (tmp_path / "x.ckpt").write_text("hello")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(tmp_path / "x.ckpt")
    torch.save([1, 2], tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="it is no checkpoint of a run"):
        load_checkpoint(tmp_path / "x.ckpt")
    shutil.rmtree(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "x.ckpt")
