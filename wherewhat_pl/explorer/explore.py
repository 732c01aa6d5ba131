"""``explore``: a model's page, served on this machine until Ctrl-C, or as a folder."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from wherewhat_pl.analysis.moving import latents_in_order, order_by_tpl
from wherewhat_pl.analysis.outputs import make_room
from wherewhat_pl.analysis.traverse import traverse
from wherewhat_pl.explorer.build import ABOUT, MODEL, about, onnx_bytes, page_files, to_json, write_folder
from wherewhat_pl.explorer.server import ExplorerServer, Names, serve
from wherewhat_pl.explorer.settings import ExploreSettings
from wherewhat_pl.interop.load import PRETRAINED, file_of, is_file, load
from wherewhat_pl.interop.onnx_export import require_libraries
from wherewhat_pl.model import Model
from wherewhat_pl.plugins import load_plugins
from wherewhat_pl.run.folder import RunDir


def explore(settings: ExploreSettings) -> None:
    """Serve the page until the process is stopped, or write it into ``settings.export``; print where.

    Raises:
        ConfigError: no such model, a library is missing, the port is taken, or the folder holds files already.
        ModelError: the model is a decoder of others.
    """
    load_plugins(settings.plugins)
    if Path(settings.run).suffix != ".onnx":  # that one is taken as it is
        require_libraries()
    folder = Path(settings.export) if settings.export is not None else None
    if folder is not None:  # before anything takes long
        make_room(folder, [folder / name for name in (*page_files(), MODEL, ABOUT)], settings.force)
    files, meta, names = prepare(settings)
    if folder is not None:
        write_folder(files | {ABOUT: to_json(meta)}, folder, settings.force)
        print(f"folder   {folder}, for any web server, e.g. python -m http.server --directory {folder}")
        return
    with serve(lambda port: ExplorerServer(files, meta, names, port), settings.port) as server:
        print(f"explore  {server.url} (Ctrl-C ends it)", flush=True)
        if settings.open_browser and has_screen():
            webbrowser.open(server.url)
        server.serve_forever()


def prepare(settings: ExploreSettings) -> tuple[dict[str, bytes], dict[str, object], Names]:
    """All files but ``meta.json``, what that says, and the names, which a served run keeps in its folder."""
    model = load(settings.run, settings.checkpoint, settings.device)
    run = None if is_file(settings.run) else RunDir(settings.run)
    title = title_of(settings.run)
    print(f"model    {title}, {model.num_latents} latents, {model.resolution} px; making its page", flush=True)
    order, order_by = latents_first_to_last(model, run)
    files = page_files() | {MODEL: onnx_bytes(model.to("cpu"), str(file_of(settings.run)))}
    names = Names(model.latents, run.latents_file if run is not None and settings.export is None else None)
    return files, about(model, title, order, order_by, str(names.file) if names.file else None), names


def latents_first_to_last(model: Model, run: RunDir | None) -> tuple[list[int], str]:
    """Positions of the latents in order of TPL, where that was measured, else of how much they change."""
    measured = order_by_tpl(model, run.eval_file if run is not None else None)
    return measured or latents_in_order(model, [traverse(model, columns=3)], None)


def title_of(run: str) -> str:
    """What people call it: experiment and name of a run, or a file's name."""
    return Path(run.removeprefix(PRETRAINED)).stem if is_file(run) else " / ".join(Path(run).resolve().parts[-2:])


def has_screen() -> bool:
    """Whether a browser can be shown; without a screen one that runs in the terminal would be started."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
