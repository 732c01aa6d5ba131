"""Move one latent at a time: pictures and an animation, masks beside the images."""

from __future__ import annotations

from wherewhat_pl.analysis.settings import TraverseSettings as Settings
from wherewhat_pl.errors import ConfigError, suggestion

EXAMPLE = "run=runs/shapes3d_quick/seed0 top=6 seeds=2"


def run(settings: Settings) -> int:
    from wherewhat_pl.analysis.moving import traverse_to_files
    from wherewhat_pl.analysis.outputs import output_folder
    from wherewhat_pl.interop.load import is_file, load
    from wherewhat_pl.pictures.video import FORMATS
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.folder import RunDir

    for name in settings.formats or []:
        if name not in FORMATS:
            raise ConfigError(f"formats={name}: no such format{suggestion(name, FORMATS)}")
    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    results = None if is_file(settings.run) else RunDir(settings.run).eval_file
    traverse_to_files(model, output_folder(settings.run, settings.out, "traversed"), settings, results)
    return 0
