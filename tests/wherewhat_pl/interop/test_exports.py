"""What is exported is the run's own model, wherever it is read; a damaged file is one line."""

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import wherewhat_pl
from tests.conftest import mostly_slow
from wherewhat_pl.errors import CheckpointError, ModelError
from wherewhat_pl.evaluation.results import append_result
from wherewhat_pl.interop import safetensors, torch_file
from wherewhat_pl.interop.load import SHIPPED, load
from wherewhat_pl.model import Latent, Model
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator

MIXED = ["Const-4", "ResConv-up-1", "C_spgroup-2-2", "C_global-1", "ResConv-up-1", "C_spgroup_sm-2", "Noise-1"]
ENDINGS = {"safetensors": safetensors, "pt": torch_file}


@pytest.fixture(scope="module")
def mixed():
    """A model with rectangles, a latent without a mask and softmax masks; no recognizer; named latents."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(MIXED, 1, FeatureMaps(4, 0, 4, 4), 6).requires_grad_(False)
    names = [Latent("hue", -1, -1.0, 3.0), *(f"latent {k}" for k in range(1, 5))]
    return Model(generator, prior="uniform", latents=names)


@pytest.fixture
def written(mixed, tmp_path):
    """A function: ending -> the model's file."""

    def write(ending):
        path = tmp_path / f"mixed.{ending}"
        ENDINGS[ending].save(mixed, path)
        return path

    return write


def assert_draw_alike(ours, theirs, tolerance=1e-4):
    for count in (1, 3):
        latents = ours.sample(count, seed=count)
        images, masks = ours.generate(latents, return_masks=True)
        found, found_masks = theirs.generate(latents, return_masks=True)
        torch.testing.assert_close(found, images, rtol=0, atol=tolerance)
        torch.testing.assert_close(found_masks, masks, rtol=0, atol=tolerance)
    assert images.std() > 0.01


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_holds_the_model_and_what_it_is_called(mixed, written, ending):
    found = load(written(ending))
    assert_draw_alike(mixed, found, tolerance=0)
    assert (found.prior, found.channels, found.latents) == ("uniform", 1, mixed.latents)
    assert found.masked_latents == [0, 1, 3, 4]
    assert not found.has_recognizer
    assert torch.equal(found.sample(3), mixed.sample(3))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_flipped_bit_is_noticed(written, ending):
    path = written(ending)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((ModelError, CheckpointError), match="is damaged") as error:
        load(path)
    assert "\n" not in str(error.value)


def described(path, change):
    """The same tensors under a changed description, its hash made anew."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["wherewhat_pl"])
    change(description)
    said = {"wherewhat_pl": json.dumps(description), "blake2b": safetensors.digest(description, tensors)}
    save_file(tensors, path, metadata=said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["generator"]["modules"].__setitem__(0, "Const-1000000000"), "generator.const"),
        (lambda d: d["generator"]["modules"].__setitem__(1, "ResConv-up-60"), "ResConv-up-60"),
        (lambda d: d["generator"]["modules"].append("Noise-100000000"), "Noise-100000000 has more layers"),
        (lambda d: d["generator"].pop("feature_maps"), "feature_maps"),
        (lambda d: d.update(prior="cauchy"), "there is no prior 'cauchy'"),
        (lambda d: d.update(latents=[]), "0 names were given for 5 latents"),
        (lambda d: d.update(version=99), "newer version"),
    ],
)
def test_a_description_that_fits_no_network_is_one_line(written, change, said):
    path = written("safetensors")
    described(path, change)
    with pytest.raises(ModelError) as error:
        load(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_cannot_have_a_module_imported(written):
    path = written("safetensors")

    def name_a_plugin(description):
        description["plugins"] = ["antigravity"]
        description["generator"]["modules"][2] = "C_gaussian-2"

    described(path, name_a_plugin)
    with pytest.raises(ModelError, match="it needs antigravity: import it, or say plugins=antigravity"):
        load(path)
    assert "antigravity" not in sys.modules


def test_other_files_are_one_line(tmp_path, runs, command):
    save_file({"a": torch.zeros(1)}, tmp_path / "others.safetensors")
    (tmp_path / "long.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    (tmp_path / "checkpoint.pt").write_bytes((runs / "a" / "checkpoints" / "last.ckpt").read_bytes())
    for name, said in (
        ("others.safetensors", "holds tensors, but not what they are of"),
        ("long.safetensors", "is damaged"),
        ("checkpoint.pt", "is no exported model"),
        ("none.safetensors", "no such file"),
    ):
        status, _, complaint = command("export", f"run={tmp_path / name}")
        assert (status, complaint.count("\n")) == (2, 1)
        assert said in complaint
    said = command("export", "run=pretrained:shapes3d_quik")[2]
    assert "no such model ships with this version; did you mean 'shapes3d_quick'?" in said


@pytest.mark.parametrize("format", mostly_slow(["safetensors", "torch"], fast=1))
def test_export_writes_a_runs_model_its_card_and_a_picture(runs, command, format):
    (runs / "a" / "latents.yaml").write_text("1: {name: object hue, sign: -1, range: [-1, 1.5]}\n")
    row = {"metric": "fvm", "images_seen": 32, "seed": 0, "distance": None, "settings": {"train": 7}, "value": 0.25}
    append_result(runs / "a" / "eval.jsonl", row)
    status, printed, _ = command("export", f"run={runs / 'a'}", f"format={format}")
    assert status == 0
    file, card, picture = (Path(line.split()[1]) for line in printed.splitlines())
    assert file.parent == runs / "a" / "exports"
    ours, theirs = load(runs / "a"), load(file)
    assert_draw_alike(ours, theirs, tolerance=1e-6)
    images = ours.generate(ours.sample(4))
    torch.testing.assert_close(theirs.encode(images), ours.encode(images))
    assert theirs.latents[1] == Latent("object hue", -1, -1.0, 1.5)
    text = card.read_text()
    assert "| fvm | 0.25 |  | 32 |" in text
    assert "| 1 | object hue | 1.5 to -1 | yes |" in text
    assert "shapes3d, source: rendered" in text
    assert str(runs) not in text, "no folder of this machine"
    assert picture.name in text
    assert Image.open(picture).height > 3 * 64

    before = file.read_bytes()
    status, _, complaint = command("export", f"run={runs / 'a'}", f"format={format}")
    assert status == 2
    assert "is there already; force=true" in complaint
    assert command("export", f"run={runs / 'b'}", f"format={format}", f"out={file}", "force=1")[0] == 0
    assert file.read_bytes() != before


def test_where_nothing_can_be_written_is_said_before_anything_is_done(runs, command):
    (runs / "file").write_text("")
    status, _, complaint = command("export", f"run={runs / 'a'}", f"out={runs / 'file' / 'a.safetensors'}")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "cannot be written to" in complaint
    assert "must end in .pt" in command("export", f"run={runs / 'a'}", "out=a.bin", "format=torch")[2]


@pytest.mark.slow
def test_onnxruntime_draws_the_same_images_and_masks_in_batches_of_any_size(mixed, runs, command, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from wherewhat_pl.interop import onnx_export

    onnx_export.save(mixed, tmp_path / "mixed.onnx")
    found = load(tmp_path / "mixed.onnx")
    assert_draw_alike(mixed, found)
    assert (found.latents, found.prior, found.masked_latents) == (mixed.latents, "uniform", [0, 1, 3, 4])
    assert command("export", f"run={runs / 'a'}", "format=onnx")[0] == 0
    (file,) = (runs / "a" / "exports").glob("*.onnx")
    assert_draw_alike(load(runs / "a"), load(file))
    assert "only a model made of this framework's own networks" in command("export", f"run={file}", "format=torch")[2]


HOOK = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(f"{name} was imported")

REFUSED = sys.argv[2].split(",")
sys.meta_path.insert(0, Refuse())
import wherewhat_pl
model = wherewhat_pl.load(sys.argv[1])
images, masks = model.generate(model.sample(2), return_masks=True)
print(list(images.shape), list(masks.shape), float(images.std()) > 0)
"""
HEAVY = "pytorch_lightning,lightning,wandb,kornia,sklearn,scipy,h5py,torchmetrics,matplotlib,PIL"


@pytest.mark.slow
def test_an_export_needs_torch_numpy_and_safetensors_and_a_run_no_lightning(written, trained):
    for path, refused in (
        (written("safetensors"), f"{HEAVY},omegaconf"),
        (written("pt"), f"{HEAVY},omegaconf,safetensors"),
        (trained / "a", HEAVY),
    ):
        done = subprocess.run([sys.executable, "-c", HOOK, path, refused], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"\[2, \d, (8, 8|16, 16)\] \[2, \d, \1\] True\n", done.stdout)


def test_a_folder_like_a_hubs_is_written_and_read(mixed, tmp_path):
    pytest.importorskip("huggingface_hub")
    mixed.save_pretrained(tmp_path / "shared")
    found = wherewhat_pl.Model.from_pretrained(tmp_path / "shared")
    assert_draw_alike(mixed, found, tolerance=0)
    assert found.latents == mixed.latents
    card = (tmp_path / "shared" / "README.md").read_text()
    assert 'wherewhat_pl.load("model.safetensors")' in card


def test_a_model_ships_with_the_package_and_its_masks_lie_where_its_latents_act(monkeypatch, tmp_path, command):
    model = load("pretrained:shapes3d_quick")
    assert (model.num_latents, model.resolution, model.has_recognizer) == (7, 16, True)
    floor = model.names.index("floor hue")
    latents = model.sample(64)
    changed = latents.clone()
    changed[:, floor] = -latents[:, floor].sign() * 2
    rows = (model.generate(latents) - model.generate(changed)).abs().mean((0, 1, 3))  # [H]
    assert rows[-5:].mean() > 2 * rows[:5].mean(), "the floor changes, the sky does not"
    assert model.masks(latents)[:, floor, -5:].mean() > model.masks(latents)[:, floor, :5].mean()
    monkeypatch.chdir(tmp_path)
    assert command("generate", "run=pretrained:shapes3d_quick", "n=2")[0] == 0
    assert (tmp_path / "shapes3d_quick_generated" / "sheet.png").exists(), "not beside the package's file"


@pytest.mark.parametrize(
    ("name", "named", "where"),
    [("shapes3d_hour", "object hue", 8), ("celeba_quick", "skin tone", 12), ("dsprites_quick", "size", 4)],
)
def test_the_others_that_ship_change_the_middle_of_the_picture_by_what_they_name(name, named, where):
    model = load(f"pretrained:{name}")
    assert (SHIPPED / f"{name}.safetensors").stat().st_size < 1_000_000
    assert f"`make train EXP={name}`" in (SHIPPED / f"{name}.safetensors.md").read_text()
    latents = model.sample(64)
    latents[:, model.names.index(named)] = -2
    changed = latents.clone()
    changed[:, model.names.index(named)] = 2
    change = (model.generate(latents) - model.generate(changed)).abs().mean((0, 1))  # [H, W]
    inside = change[where:-where, where:-where]
    outside = (change.sum() - inside.sum()) / (change.numel() - inside.numel())
    assert inside.mean() > 2 * outside
