"""The explorer's folder holds all that its page asks for, and a model that draws what the run's own draws."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch

from wherewhat_pl.evaluation.results import append_result
from wherewhat_pl.explorer import explore
from wherewhat_pl.explorer.build import page_files
from wherewhat_pl.interop.load import load

ROOT = Path(__file__).parents[3]


def test_the_page_asks_for_nothing_that_is_not_there():
    files = page_files()
    made = {"model.onnx", "meta.json", "latents"}
    for name, content in files.items():
        if name.startswith("onnxruntime_web/") or not name.endswith((".html", ".js")):
            continue
        text = content.decode()
        found = re.findall(r'(?:src|href)="([^"#]+)"|from "\./([^"]+)"|(?:fetch|Worker|URL|unpacked)\("([^"]+)"', text)
        for asked in ("".join(each) for each in found):
            assert asked in files or asked in made, (name, asked)
        assert not re.search(r"(?<!xmlns=\")https?://", text), name


def test_what_needs_no_model_is_said_before_one_is_loaded(command, tmp_path):
    (tmp_path / "index.html").touch()
    status, _, said = command("explore", f"export={tmp_path}", "run=pretrained:shapes3d_quick")
    assert status == 2
    assert "index.html: is there already" in said
    for words in (["port=99999"], ["run=nowhere"], ["run=pretrained:shapes"], ["run=nowhere.safetensors"]):
        status, _, said = command("explore", *words)
        assert status == 2
        assert said.count("\n") == 1
        assert words[0] in said


def test_a_missing_library_is_one_line_before_anything_takes_long(command, monkeypatch):
    found = {"onnx": "there"}
    monkeypatch.setattr("wherewhat_pl.interop.onnx_export.find_spec", found.get)
    status, printed, said = command("explore")
    assert (status, printed) == (2, "")
    assert "[onnx] (onnxscript is missing)" in said
    assert said.count("\n") == 1


def test_latents_come_in_order_of_tpl_else_of_change(runs):
    model, run = load(runs / "a"), explore.RunDir(runs / "a")
    order, why = explore.latents_first_to_last(model, run)
    assert sorted(order) == [0, 1, 2]
    assert why == "change per pixel"
    details = {"mean": [0.1, 0.3, 0.2], "std": [0.0] * 3, "active": [True] * 3}
    used = {"points": 5, "base_codes": 2, "threshold": 0.3, "low": -4.0, "high": 4.0}
    row = {"metric": "tpl_small", "seed": 0, "distance": "d", "value": 1.3, "values": {"num_active": 2.0}}
    append_result(run.eval_file, row | {"images_seen": 32, "details": details, "used": used})
    assert explore.latents_first_to_last(model, run) == ([1, 2, 0], "tpl_small, d")


@pytest.mark.slow
def test_a_folder_holds_page_model_and_what_is_said_of_it(runs, command, tmp_path):
    import numpy as np
    import onnxruntime

    (runs / "a" / "latents.yaml").write_text("2: {name: object hue, sign: -1, range: [-1, 1.5]}\n")
    words = ("explore", f"run={runs / 'a'}", f"export={tmp_path / 'out'}")
    status, printed, _ = command(*words)
    assert status == 0
    assert str(tmp_path / "out") in printed
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert written == {*page_files(), "model.onnx", "meta.json"}
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert meta["latents"][2] == {"name": "object hue", "sign": -1, "range": [-1.0, 1.5]}
    assert sorted(meta["order"]) == meta["masked"] == [0, 1, 2]
    assert (meta["resolution"], meta["channels"], meta["prior"], meta["names_in"]) == (8, 3, "normal", None)
    assert str(runs) not in json.dumps(meta)

    model = load(runs / "a")
    latents = model.sample(1, seed=3)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    images, masks = session.run(None, {"latents": latents.numpy().astype(np.float32)})
    for found, wanted in zip((images, masks), model.generate(latents, return_masks=True), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-4)

    status, _, said = command(*words)
    assert status == 2
    assert "force=true" in said
    assert command(*words, "force=true")[0] == 0


@pytest.mark.slow
def test_an_exported_decoder_is_taken_as_it_is_and_another_one_refused(trained, command, tmp_path):
    file = tmp_path / "a.onnx"
    assert command("export", f"run={trained / 'a'}", "format=onnx", f"out={file}")[0] == 0
    assert command("explore", f"run={file}", f"export={tmp_path / 'out'}")[0] == 0
    assert (tmp_path / "out" / "model.onnx").read_bytes() == file.read_bytes()
    import onnx

    other = onnx.load(file)
    other.graph.output.pop()
    onnx.save(other, tmp_path / "other.onnx")
    status, _, said = command("explore", f"run={tmp_path / 'other.onnx'}", f"export={tmp_path / 'more'}")
    assert (status, said.count("\n")) == (2, 1)
    assert "decoder of others" in said


@pytest.mark.slow
def test_without_a_run_it_shows_the_model_that_ships_until_ctrl_c():
    words = [sys.executable, "-m", "wherewhat_pl", "explore", "port=0", "open_browser=false"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "shapes3d_hour" in process.stdout.readline()
        url = re.search(r"http://127.0.0.1:\d+/", process.stdout.readline())[0]
        meta = json.loads(urllib.request.urlopen(url + "meta.json").read())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    assert meta["names_in"] is None
    assert {"floor hue", "wall hue", "object hue"} <= {latent["name"] for latent in meta["latents"]}
