"""``data.source`` for photographs: what lies there is used, drawn faces never stand in for it unsaid."""

from __future__ import annotations

import pytest

from data_modules.errors import DataError, MissingDataError
from data_modules.photographs.generated_faces import NOTE, write_generated_faces
from data_modules.registry import build_data

SYNTHETIC, PHOTOGRAPHS = ("shapes3d", "dsprites"), ("celeba", "ffhq", "images")
LAYOUTS = {"celeba": "celeba", "ffhq": "ffhq", "images": "images"}


@pytest.fixture(autouse=True)
def few_generated(monkeypatch):
    monkeypatch.setattr("data_modules.images.GENERATED_IMAGES", 5)


def make(name, root, **options):
    return build_data(name, 16, 4, root=root, cache=root.parent / "cache", **options)


def put_photographs(name, root, count=7):
    write_generated_faces(root, count, size=32, layout=LAYOUTS[name], seed=1)
    (root / NOTE).unlink()  # as if they were photographs


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_auto_draws_faces_and_says_so_until_photographs_are_there(name, tmp_path, caplog):
    module = make(name, tmp_path / "root")
    with caplog.at_level("INFO"):
        module.setup()
    assert (module.source, module.num_images) == ("generated", 5)
    assert f"data: {name} is 5 drawn faces, not photographs (there are none in {tmp_path / 'root'})" in caplog.text
    put_photographs(name, tmp_path / "root")
    module = make(name, tmp_path / "root")
    module.setup()
    assert (module.source, module.num_images) == ("folder", 7)


@pytest.mark.parametrize("source", ["files", "official"])
@pytest.mark.parametrize("name", ["celeba", "ffhq"])
def test_without_photographs_one_line_says_what_to_download_and_where(name, source, tmp_path):
    with pytest.raises(MissingDataError, match=rf"data.root: no .* in {tmp_path / 'root'}; download .* put") as error:
        make(name, tmp_path / "root", source=source).setup()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["celeba", "ffhq"])
def test_official_takes_only_the_whole_published_set(name, tmp_path):
    put_photographs(name, tmp_path / "root")
    with pytest.raises(DataError, match=r"data.source=official: .* holds 7 images, not the published set"):
        make(name, tmp_path / "root", source="official").setup()


def test_auto_does_not_pass_over_a_broken_download(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "img_align_celeba.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(DataError, match=r"there are no images in .*img_align_celeba.zip"):
        make("celeba", tmp_path / "root").setup()


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, "rendered") for name in PHOTOGRAPHS]
    + [(name, source) for name in SYNTHETIC for source in ("generated", "files")]
    + [("images", "official")],
)
def test_a_source_that_a_data_set_does_not_have_is_one_line(name, source, tmp_path):
    with pytest.raises(DataError, match=rf"^data.source={source}: must be one of auto, .* for data.name={name}$"):
        make(name, tmp_path, source=source)


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *SYNTHETIC])
def test_a_preview_says_what_setup_finds_and_writes_nothing(name, tmp_path):
    module = make(name, tmp_path / "root")
    preview = module.preview()
    assert not list(tmp_path.iterdir())
    module.setup()
    assert preview == (module.source, module.num_images)
