import csv

import numpy as np
import pytest
import torch

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.results import append_result, read_results
from wherewhat_pl.interop.onnx import OnnxModel

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIDE = 8


def write_decoder(path, strength, last="Sigmoid", batch="batch", channels_last=False, latents=4):
    """A decoder whose images are ``last(latents @ weights)``: the larger the strength, the more a latent changes."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shape = [SIDE, SIDE, 3] if channels_last else [3, SIDE, SIDE]
    weights = (random.normal(size=(latents, 3 * SIDE * SIDE)) * strength).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([-1, *shape], np.int64), "shape"),
    ]
    nodes = [
        helper.make_node("MatMul", ["latents", "weights"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["raw"]),
        helper.make_node(last, ["raw"], ["images"]),
    ]
    ends = [
        [helper.make_tensor_value_info("latents", TensorProto.FLOAT, [batch, latents])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *shape])],
    ]
    graph = helper.make_graph(nodes, "decoder", *ends, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_what_the_file_does_not_say_is_found_out(tmp_path):
    latents = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    signed = OnnxModel(write_decoder(tmp_path / "signed.onnx", 1.0, last="Tanh"))
    unit = OnnxModel(write_decoder(tmp_path / "unit.onnx", 1.0))
    fixed = OnnxModel(write_decoder(tmp_path / "fixed.onnx", 1.0, batch=2))
    last = OnnxModel(write_decoder(tmp_path / "last.onnx", 1.0, channels_last=True))
    assert [decoder.image_range for decoder in (signed, unit, fixed, last)] == ["-1..1", "0..1", "0..1", "0..1"]
    for decoder in (signed, unit, fixed, last):
        assert decoder.num_latents == 4
        images = decoder.generate(latents)
        assert images.shape == (5, 3, SIDE, SIDE)
        assert images.min() < 0 < images.max()
    torch.testing.assert_close(fixed.generate(latents), unit.generate(latents))


@pytest.mark.slow
def test_decoders_of_others_are_ranked_and_a_dead_one_is_not(tmp_path, command, short_tpl):
    for name, strength in (("dead", 0.0), ("weak", 0.02), ("strong", 1.0)):
        write_decoder(tmp_path / f"{name}.onnx", strength)
    append_result(
        tmp_path / "weak.eval.jsonl",
        {"metric": "fvm", "images_seen": 0, "seed": 0, "distance": None, "settings": {}, "value": 0.5},
    )
    assert command("select", f"runs={tmp_path}", f"out={tmp_path / 'out'}")[0] == 0
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert [(row["rank"], row["model"]) for row in rows] == [
        ("1", "weak.onnx"),
        ("2", "strong.onnx"),
        ("", "dead.onnx"),
    ]
    assert rows[0]["fvm"] == "0.5"
    assert command("select", f"runs={tmp_path}", f"out={tmp_path / 'out'}")[0] == 0
    assert len(read_results(tmp_path / "strong.eval.jsonl")) == 1


def test_a_file_that_is_no_decoder_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ConfigError, match=r"text\.onnx: is no ONNX model") as error:
        OnnxModel(tmp_path / "text.onnx")
    assert "\n" not in str(error.value)
