"""Random images of a model into files; with chosen latents' values beside them, a pseudo-labelled data set."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.traverse import batch_of
from wherewhat_pl.model import Model
from wherewhat_pl.networks.latents import UNIFORM_LIMIT
from wherewhat_pl.pictures.pixels import to_uint8
from wherewhat_pl.pictures.sheet import sheet
from wherewhat_pl.run.files import csv_text, replacing, write_atomically

ON_SHEET = 64  #: images on the sheet, at most
ROWS_AT_ONCE = 1024  #: of the parquet file that are kept until they are written


def draw_latents(model: Model, count: int, seed: int = 0, psi: float = 1.0, limit: float | None = None) -> Tensor:
    """Latents to draw images from, the same ones for the same seed.

    Args:
        model: what has the prior.
        count: how many.
        seed: of the draw.
        psi: factor on all of them: nearer to 0, images are more usual and more alike.
        limit: of each latent before ``psi``: the prior cut off at ``-limit`` and ``limit``; None: as it is.

    Returns:
        ``[count, n]``.
    """
    latents = model.sample(count, seed, "generate")
    if limit is not None and model.prior == "normal":
        # The share of the normal distribution below a latent, put into that between the limits: none is drawn twice.
        low, high = (torch.special.ndtr(torch.tensor(end, dtype=torch.float64)) for end in (-limit, limit))
        latents = torch.special.ndtri(low + torch.special.ndtr(latents.double()) * (high - low)).float()
    elif limit is not None:
        latents = latents * min(1.0, limit / UNIFORM_LIMIT)
    return latents * psi


def outputs(folder: Path, labelled: bool) -> list[Path]:
    """What :func:`write_images` will write into a folder."""
    names = ("sheet.png", "images", "codes.npz", *(("table.csv", "images.parquet") * labelled))
    return [folder / name for name in names]


def write_images(model: Model, latents: Tensor, folder: Path, columns: dict[str, int] | None = None) -> list[Path]:
    """Draw images and write ``images/000000.png`` and so on, a sheet of the first ones, and the codes.

    Args:
        model: what draws.
        latents: ``[N, n]``.
        folder: exists; images of an earlier call in it are removed.
        columns: name -> position of latents that become columns of ``table.csv`` and ``images.parquet``.

    Returns:
        The files and folders that were written; without pyarrow there is no ``images.parquet``.
    """
    (folder / "images").mkdir(exist_ok=True)
    for old in (folder / "images").glob("[0-9]*.png"):
        old.unlink()
    labels = {name: latents[:, position].tolist() for name, position in (columns or {}).items()}
    written = [path for path in outputs(folder, bool(columns)) if path.suffix != ".parquet" or _has_pyarrow()]
    first: list[Tensor] = []
    with tqdm(total=len(latents), unit="img", leave=False, dynamic_ncols=True) as bar:

        def encoded() -> Iterator[bytes]:
            for part in latents.split(batch_of(model)):
                for pixels in to_uint8(model.generate(part)):
                    if bar.n < ON_SHEET:
                        first.append(pixels)
                    content = _png(pixels if model.channels == 3 else pixels[:1])
                    (folder / "images" / f"{bar.n:06d}.png").write_bytes(content)
                    yield content
                    bar.update()

        if columns and _has_pyarrow():
            with replacing(folder / "images.parquet") as temporary:
                _write_parquet(temporary, encoded(), labels)
        else:
            for _ in encoded():
                pass
    with replacing(folder / "sheet.png") as temporary:
        sheet(torch.stack(first), columns=max(1, round(len(first) ** 0.5))).save(temporary, format="PNG")
    Codes(latents, [f"{number:06d}.png" for number in range(len(latents))]).save(folder / "codes.npz")
    if columns:
        values = zip(*labels.values(), strict=True)
        rows = ([f"images/{number:06d}.png", *(f"{value:.6g}" for value in row)] for number, row in enumerate(values))
        write_atomically(folder / "table.csv", csv_text(["image", *labels], rows).encode())
    return written


def _has_pyarrow() -> bool:
    return find_spec("pyarrow") is not None


def _png(pixels: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).contiguous().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_parquet(path: Path, images: Iterator[bytes], labels: dict[str, list[float]]) -> None:
    """Column ``image`` as Hugging Face has it, and a column of numbers for each label."""
    import pyarrow
    import pyarrow.parquet

    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("image", image), *((name, pyarrow.float32()) for name in labels)])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        rows = (
            {"image": {"bytes": content, "path": f"{number:06d}.png"}}
            | {name: column[number] for name, column in labels.items()}
            for number, content in enumerate(images)
        )
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema))
