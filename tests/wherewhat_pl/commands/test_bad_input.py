"""What cannot be used ends in one line that names it, before anything is written; what is there stays as it is."""

import numpy as np
import pytest
from PIL import Image

from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.interop.load import load

NUMBERS = np.zeros((2, 3), np.float32)
FILES = {  # of codes, for a model of 3 latents
    "good": {"codes": NUMBERS},
    "wide": {"codes": np.zeros((2, 5), np.float32)},
    "nan": {"codes": NUMBERS + np.nan},
    "far": {"codes": NUMBERS + 101},
    "none": {"codes": NUMBERS[:0], "names": np.array([], str)},
    "complex": {"codes": NUMBERS.astype(complex)},
    "objects": {"codes": np.array([[{}] * 3] * 2)},
    "unnamed": {"codes": NUMBERS, "names": np.array("a")},
    "short": {"codes": NUMBERS, "names": np.array(["a"])},
    "noisy": {"codes": NUMBERS, "noise/blocks.9": np.zeros((2, 1, 8, 8), np.float32)},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of images and codes that cannot be used, and ``good.npz`` and ``good.png``, which can."""
    folder = tmp_path_factory.mktemp("files")
    for name, arrays in FILES.items():
        np.savez(folder / f"{name}.npz", **({"names": np.array(["a.png", "b.png"])} | arrays))
    Image.effect_noise((40, 40), 90).save(folder / "good.png")
    content = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    for name in ("text.png", "text.npz"):
        (folder / name).write_text("no image")
    Image.new("RGB", (3, 900)).save(folder / "thin.png")
    (folder / "nothing").mkdir()
    return folder


CODES = [
    ("wide", "wide.npz: holds codes [2, 5]; this model takes [N, 3]"),
    ("nan", "nan.npz: holds no code, or a number outside of -100 to 100"),
    ("far", "far.npz: holds no code, or a number outside of -100 to 100"),
    ("none", "none.npz: holds no code"),
    ("complex", "complex.npz: holds no codes (an array of complex128 [2, 3])"),
    ("objects", "objects.npz: holds no codes (Object arrays cannot be loaded"),
    ("unnamed", "unnamed.npz: holds no codes"),
    ("short", "short.npz: holds codes [2, 3]"),
    ("noisy", "noisy.npz: noise map blocks.9 [2, 1, 8, 8] is none of this model's"),
    ("text", "text.npz: holds no codes"),
    ("missing", "missing.npz: no such file"),
]


@pytest.fixture(scope="module")
def model(trained):
    return load(trained / "a")


@pytest.mark.parametrize(("name", "said"), CODES)
def test_a_file_that_holds_no_codes_of_this_model_is_one_line(model, files, name, said):
    with pytest.raises(ConfigError) as error:
        Codes.load(files / f"{name}.npz", model)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(Codes.load(files / "good.npz", model).codes) == 2


CASES = [
    ("traverse codes=@wide.npz", "wide.npz: holds codes [2, 5]; this model takes [N, 3]"),
    ("traverse limit=nan", "limit=nan: must be above 0"),
    ("edit face=@wide.npz from=@good.npz:1", "wide.npz: holds codes [2, 5]"),
    ("edit face=@missing.npz from=@good.npz:1", "missing.npz: no such file"),
    ("edit face=@cut.png from=@good.png:1", "face=cut.png: damaged"),
    ("edit face=@good.png from=@text.png:1", "from=text.png: not an image of a known format"),
    ("edit face=@good.npz from=@good.npz", "say which latents of which image"),
    ("edit face=@good.npz from=@good.npz:9", "from=9: is out of range; this model has latents 0 to 2"),
    ("edit face=@good.npz from=@good.npz:latnt_1", "no latent has this name; did you mean 'latent 1'?"),
    ("edit face=@good.npz", "from=... is missing"),
    ("project images=@text.png", "images=text.png: not an image of a known format"),
    ("project images=@cut.png", "images=cut.png: damaged"),
    ("project images=@thin.png", "images=thin.png: too small: 3x900 pixels"),
    ("project images=@nothing", "images: there are no images in "),
    ("project images=@good.png,@gone.png", "images: there is no "),
    ("project images=@good.png distance=l2", "distance=l2: no such distance"),
    ("rotate dims=0,latnt_1", "dims=latnt_1: no latent has this name; did you mean 'latent 1'?"),
    ("generate n=100000000000", "n=100000000000: must be at least 1 and at most 10,000,000"),
    ("generate psi=nan", "psi=nan: must be between 0 and 10"),
    ("export format=onx", "format=onx: must be one of safetensors, onnx, torch"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "said"), CASES, ids=[words for words, _ in CASES])
def test_it_is_one_line_and_nothing_is_written(trained, command, files, tmp_path, words, said):
    verb, *words = (word.replace("@", f"{files}/") for word in words.split())
    status, _, complaint = command(verb, f"run={trained / 'a'}", *words, f"out={tmp_path / 'out'}")
    assert (status, complaint.count("\n")) == (2, 1)
    assert said in complaint
    assert not list(tmp_path.iterdir())


VERBS = {
    "rotate dims=0,1": "latents-0-1-grid.png",
    "rotate dims=all": "pairs.png",
    "project images=@good.png": "codes.npz",
    "edit face=@good.npz from=@good.npz:1": "edited.png",
}


@pytest.mark.parametrize("words", VERBS)
def test_nothing_is_written_over_unasked(trained, command, files, tmp_path, words):
    verb, *more = (word.replace("@", f"{files}/") for word in words.split())
    (tmp_path / VERBS[words]).write_text("mine")
    status, _, complaint = command(verb, f"run={trained / 'a'}", *more, f"out={tmp_path}")
    assert (status, complaint.count("\n")) == (2, 1)
    assert f"{VERBS[words]}: is there already; force=true" in complaint
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(VERBS[words], "mine")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stlpips_vgg")
def test_a_model_without_recognizer_is_projected_to_from_the_nearest_random_image(trained, command, files, tmp_path):
    words = (f"run={trained / 'gan'}", f"images={files / 'good.png'}", "steps=0", f"out={tmp_path}")
    assert command("project", *words)[0] == 0
    found = Codes.load(tmp_path / "codes.npz", load(trained / "gan"))
    assert found.names == ["good.png"]
    random = load(trained / "gan").sample(256, 0, "project")
    assert (random == found.codes).all(1).any()
    assert command("project", *words, "force=1")[0] == 0
