"""The published files: small ones in their layout are read exactly, and bad ones end in one line."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from data_modules import official
from data_modules.dsprites import DSpritesDataModule
from data_modules.errors import DataError
from data_modules.factors import FactorSpace
from data_modules.shapes3d import Shapes3DDataModule


class FewShapes3D(Shapes3DDataModule):
    factor_space = FactorSpace(Shapes3DDataModule.factor_space.names, (2, 2, 2, 2, 4, 3))


class FewDSprites(DSpritesDataModule):
    factor_space = FactorSpace(DSpritesDataModule.factor_space.names, (3, 2, 4, 2, 2))


def pictures(count: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256 if channels == 3 else 2, (count, 64, 64, channels), dtype=np.uint8)


def write_h5(root: Path, **changes) -> Path:
    space = FewShapes3D.factor_space
    scale = np.array([0.1, 0.1, 0.1, 0.5, 1.0, 30.0])  # labels are values, not classes
    arrays = {"images": pictures(space.num_images, 3), "labels": space.all().numpy() * scale, **changes}
    path = root / FewShapes3D.official_file
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, chunks=(7, *array.shape[1:]), compression="gzip")
    return path


class Trap:
    """Its unpickling would create a file."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def write_npz(root: Path, **changes) -> Path:
    space = FewDSprites.factor_space
    classes = np.pad(space.all().numpy(), ((0, 0), (1, 0)))
    arrays = {
        "metadata": np.array(Trap(), dtype=object),
        "imgs": pictures(space.num_images, 1)[..., 0],
        "latents_classes": classes,
        **changes,
    }
    path = root / FewDSprites.official_file
    np.savez_compressed(path, allow_pickle=True, **{name: array for name, array in arrays.items() if array is not None})
    return path


def ready(cls: type, root: Path, resolution: int = 64, source: str = "auto"):
    data = cls(resolution, 8, source=source, root=root)
    data.setup()
    return data


def message_of(cls: type, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        ready(cls, root, source="official")
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(("cls", "write"), [(FewShapes3D, write_h5), (FewDSprites, write_npz)])
def test_official_images_are_those_of_the_file(cls, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(official, "CHUNK", 50)
    write(tmp_path)
    data = ready(cls, tmp_path)
    expected = torch.from_numpy(pictures(data.num_images, data.channels)).permute(0, 3, 1, 2)
    assert data.source == "official"
    assert torch.equal(data.images(torch.arange(data.num_images)), expected * (1 if data.channels == 3 else 255))
    assert not (tmp_path / "unpickled").exists()  # the pickle in it was left alone


def test_the_file_is_converted_once_and_again_when_it_is_newer(tmp_path):
    path = write_h5(tmp_path)
    fingerprint = ready(FewShapes3D, tmp_path).fingerprint
    converted = tmp_path / "3dshapes.images.npy"
    stamp = converted.stat().st_mtime_ns
    assert ready(FewShapes3D, tmp_path).fingerprint == fingerprint
    assert converted.stat().st_mtime_ns == stamp
    write_h5(tmp_path, images=255 - pictures(FewShapes3D.factor_space.num_images, 3))
    os.utime(path, (stamp / 1e9 + 10, stamp / 1e9 + 10))
    assert ready(FewShapes3D, tmp_path).fingerprint != fingerprint


def test_smaller_resolutions_are_box_averages_and_larger_ones_keep_the_range(tmp_path):
    write_h5(tmp_path)
    indices = torch.tensor([0, 5, 17])
    original = ready(FewShapes3D, tmp_path).images(indices).float()
    small = ready(FewShapes3D, tmp_path, 16).images(indices).float()
    means = original.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    assert (small - means).abs().max() <= 0.5
    assert ready(FewShapes3D, tmp_path, 128).images(indices).shape == (3, 3, 128, 128)


@pytest.mark.parametrize("resolution", [16, 64, 128])
def test_images_kept_on_an_accelerator_are_those_gathered_from_the_map(resolution, tmp_path, monkeypatch):
    write_h5(tmp_path)
    indices = torch.tensor([3, 0, 191])
    gathered = ready(FewShapes3D, tmp_path, resolution)
    monkeypatch.setattr(official, "fits_on_accelerator", lambda *_: True)
    kept = ready(FewShapes3D, tmp_path, resolution)
    assert gathered._published.resident is None
    assert kept._published.resident is not None
    assert torch.equal(kept.images(indices), gathered.images(indices))


def test_enlarged_official_dsprites_stay_black_and_white(tmp_path):
    write_npz(tmp_path)
    assert set(ready(FewDSprites, tmp_path, 128).images(torch.arange(9)).unique().tolist()) == {0, 255}


def test_without_the_file_auto_renders_and_says_so(tmp_path, capsys, caplog):
    with caplog.at_level("INFO"):
        data = ready(DSpritesDataModule, tmp_path)
    said = caplog.text + capsys.readouterr().err
    assert data.source == "rendered"
    assert "dsprites is rendered" in said
    assert "no dsprites_ndarray" in said


def test_a_missing_file_ends_in_one_line_that_says_what_to_do(tmp_path):
    message = message_of(Shapes3DDataModule, tmp_path)
    assert "3dshapes.h5" in message
    assert "data.source=rendered" in message


@pytest.mark.parametrize(("cls", "write"), [(FewShapes3D, write_h5), (FewDSprites, write_npz)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_ends_in_one_line_and_leaves_nothing_half_written(cls, write, share, tmp_path):
    path = write(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "download it again" in message_of(cls, tmp_path)
    assert not list(tmp_path.glob("*.npy")) + list(tmp_path.glob("*.partial"))


def test_a_damaged_byte_in_the_npz_is_noticed(tmp_path):
    path = write_npz(tmp_path)
    with zipfile.ZipFile(path) as archive:
        middle = archive.getinfo("imgs.npy").header_offset + archive.getinfo("imgs.npy").compress_size // 2
    data = bytearray(path.read_bytes())
    data[middle] ^= 0xFF
    path.write_bytes(data)
    assert "truncated or damaged" in message_of(FewDSprites, tmp_path)


def test_wrong_contents_are_named(tmp_path):
    space = FewShapes3D.factor_space
    images, labels = pictures(space.num_images, 3), space.all().numpy().astype(np.float64)
    for changes, reason in [
        ({"images": None}, "no 'images'"),
        ({"images": images[:-1]}, "shape (191, 64, 64, 3), expected (192, 64, 64, 3)"),
        ({"images": images.astype(np.float32)}, "float32, expected uint8"),
        ({"labels": labels[::-1].copy()}, "wrong factor order: image 0"),
        ({"labels": labels[:, ::-1].copy()}, "wrong factor order: column 0"),
    ]:
        write_h5(tmp_path, **changes)
        assert reason in message_of(FewShapes3D, tmp_path)
    classes = np.pad(FewDSprites.factor_space.all().numpy(), ((0, 0), (1, 0)))
    for changes, reason in [
        ({"latents_classes": None}, "latents_classes"),
        ({"latents_classes": classes[:, 1:]}, "shape"),
        ({"latents_classes": classes + np.array([1, 0, 0, 0, 0, 0])}, "colour"),
        ({"latents_classes": classes[::-1]}, "wrong factor order"),
        ({"imgs": pictures(96, 1)[..., 0] * 3}, "values other than 0 and 1"),
        ({"imgs": pictures(96, 1)}, "shape"),
        ({"imgs": np.array([Trap()], dtype=object)}, "shape"),
    ]:
        write_npz(tmp_path, **changes)
        assert reason in message_of(FewDSprites, tmp_path)


def test_a_full_size_file_with_the_wrong_order_is_refused_before_anything_is_written(tmp_path):
    """All 480,000 labels, and images that take no space, since HDF5 does not store what was never written."""
    path = tmp_path / Shapes3DDataModule.official_file
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (480_000, 64, 64, 3), np.uint8, chunks=(100, 64, 64, 3))
        labels = Shapes3DDataModule.factor_space.all().numpy()[:, [0, 1, 2, 4, 3, 5]]
        file.create_dataset("labels", data=labels.astype(np.float64), compression="gzip", compression_opts=1)
    assert "wrong factor order: column 3 of 'labels' has 4 values, but scale has 8" in message_of(
        Shapes3DDataModule, tmp_path
    )


def test_links_out_of_the_h5_file_are_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_h5(elsewhere)
    with h5py.File(tmp_path / FewShapes3D.official_file, "w") as file:
        file["images"] = h5py.ExternalLink(str(elsewhere / FewShapes3D.official_file), "images")
        file["labels"] = np.zeros(3)
    assert "points elsewhere" in message_of(FewShapes3D, tmp_path)


@pytest.mark.parametrize("kind", ["external link", "soft link", "virtual", "external storage"])
def test_a_pipe_named_in_the_h5_file_is_never_opened(kind, tmp_path):
    """Opening it would wait forever."""
    os.mkfifo(tmp_path / "pipe")
    pipe = str(tmp_path / "pipe")
    with h5py.File(tmp_path / FewShapes3D.official_file, "w") as file:
        if kind == "external link":
            file["images"] = h5py.ExternalLink(pipe, "images")
        elif kind == "soft link":
            file["elsewhere"] = h5py.ExternalLink(pipe, "images")
            file["images"] = h5py.SoftLink("/elsewhere")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((192, 64, 64, 3), np.uint8)
            layout[:] = h5py.VirtualSource(pipe, "images", (192, 64, 64, 3))
            file.create_virtual_dataset("images", layout)
        else:
            file.create_dataset("images", (192, 64, 64, 3), np.uint8, external=[(pipe, 0, 192 * 64 * 64 * 3)])
        file["labels"] = np.zeros(3)
    process = multiprocessing.get_context("fork").Process(target=message_of, args=(FewShapes3D, tmp_path))
    process.start()
    process.join(20)
    alive = process.is_alive()
    process.kill()
    assert not alive
    assert process.exitcode == 0
    assert "points elsewhere" in message_of(FewShapes3D, tmp_path)


def test_an_h5_chunk_of_gigabytes_is_refused_unread(tmp_path):
    with h5py.File(tmp_path / Shapes3DDataModule.official_file, "w") as file:
        file.create_dataset("images", (480_000, 64, 64, 3), np.uint8, chunks=(300_000, 64, 64, 3), compression="gzip")
    assert "stored in chunks of (300000, 64, 64, 3)" in message_of(Shapes3DDataModule, tmp_path)


@pytest.mark.parametrize("name", ["latents_classes", "imgs"])
def test_a_header_that_claims_192_gib_is_refused_before_memory_is_asked_for(name, tmp_path):
    path = write_npz(tmp_path, **{name: None})
    header = io.BytesIO()
    shape = (2**35, 6) if name == "latents_classes" else (2**35, 64, 64)
    dtype = "<i8" if name == "latents_classes" else "|u1"
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", header.getvalue())
    assert f"'{name}' has shape {shape}" in message_of(FewDSprites, tmp_path)


def test_a_flipped_bit_in_the_converted_array_is_noticed_and_converted_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(official, "CHUNK", 50)
    write_npz(tmp_path)
    fingerprint = ready(FewDSprites, tmp_path).fingerprint
    converted = tmp_path / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.images.npy"
    good = converted.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(good), 10).tolist():
        data = bytearray(good)
        data[position] ^= 1
        converted.write_bytes(data)
        assert ready(FewDSprites, tmp_path).fingerprint == fingerprint
        assert converted.read_bytes() == good
    assert "is not what was written, a failing disk? converting dsprites_ndarray" in caplog.text


def test_a_folder_that_cannot_be_written_ends_in_one_line(tmp_path, monkeypatch):
    write_h5(tmp_path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be written (Permission denied)" in message_of(FewShapes3D, tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    write_h5(tmp_path)
    monkeypatch.setattr(official.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "GB free" in message_of(FewShapes3D, tmp_path)


def _fingerprint(root: Path, queue) -> None:
    torch.set_num_threads(1)
    queue.put(ready(FewShapes3D, root).fingerprint)


def test_two_processes_at_once_convert_one_file(tmp_path):
    write_h5(tmp_path)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_fingerprint, args=(tmp_path, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    fingerprints = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(fingerprints) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data\.source=offical: must be one of auto, official, rendered"):
        Shapes3DDataModule(16, 8, source="offical", root=tmp_path)


def test_the_trap_is_real(tmp_path, monkeypatch):
    """Were the metadata unpickled, it would be seen."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap()))
    assert (tmp_path / "unpickled").exists()
