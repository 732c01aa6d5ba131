"""Pickles as the published code writes them, of the oracle's weights, give the oracle's images, scores and codes."""

import json
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from wherewhat_pl.interop.load import load
from wherewhat_pl.interop.published import critic_names
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.loading import load_run
from wherewhat_pl.system import DisentanglingGAN

ORACLE = Path(__file__).parents[2] / "oracle"
FOLDER = ("G", "D", "I", "Gs")


class Pickler:
    """Writes what the published code's classes would, which nobody can import when it is read."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        names = ("dnnlib", "dnnlib.util", "dnnlib.tflib", "dnnlib.tflib.network")
        self.modules = {name: ModuleType(name) for name in names}

        def get(self, name):
            try:
                return self[name]
            except KeyError:
                raise AttributeError(name) from None

        self.EasyDict = self._class("dnnlib.util", "EasyDict", dict, {"__getattr__": get})
        self.Network = self._class("dnnlib.tflib.network", "Network", object, {})

    def _class(self, module, name, base, members):
        made = type(name, (base,), {**members, "__module__": module})
        setattr(self.modules[module], name, made)
        return made

    def network(self, name, settings, variables, components=None, version=4):
        made = self.Network()
        made.__dict__ = {
            "version": version,
            "name": name,
            "static_kwargs": settings,
            "components": components or {},
            "build_module_src": "raise SystemExit('a source text was run')",
            "build_func_name": "build",
            "variables": variables,
        }
        return made

    def write(self, path, content, protocol=4):
        with self.monkeypatch.context() as patched:
            for name, module in self.modules.items():
                patched.setitem(sys.modules, name, module)
            path.write_bytes(pickle.dumps(content, protocol))
        return path


@pytest.fixture
def pickler(monkeypatch):
    return Pickler(monkeypatch)


def oracle(case):
    with np.load(ORACLE / f"networks_{case}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def published(pickler, arrays, roles=FOLDER, values=np.asarray, numbers=int, dicts=dict, version=4, change=()):
    """The networks of a file; those whose average is there, too, have other weights than the oracle's.

    ``change``: (role, key, value) for settings, None to leave one out.
    """
    config = json.loads(str(arrays["config"]))
    latents = arrays["in/z"].shape[1]
    networks = []
    for role in roles:
        scale = 0.5 if f"{role}s" in roles else 1.0
        variables = [
            (name.removeprefix(f"weight/{role[0]}/").removesuffix(":0"), values(array * np.float32(scale)))
            for name, array in arrays.items()
            if name.startswith(f"weight/{role[0]}/")
        ]
        settings = {"num_channels": config["channels"], "resolution": config["resolution"], "label_size": 0}
        maps = config["G"] if role[0] == "G" else config[role[0] if role[0] in config else "DI"]
        settings |= {key: numbers(value) if key != "fmap_decay" else value for key, value in maps.items()}
        parts = {}
        if role[0] == "G":
            settings |= {"latent_size": numbers(latents), "dlatent_size": latents, "module_list": config["modules"]}
            settings |= {"G_nf_scale": numbers(config["nf_scale"]), "use_noise": True, "return_atts": False}
            settings |= {"synthesis_func": "G_synthesis_modular"}
            parts = {
                "synthesis": pickler.network("synthesis", dicts({}), variables, version=version),
                "mapping": pickler.network("mapping", dicts({}), [], version=version),
            }
            variables = [("lod", np.float32(0))]
        elif role[0] == "I":
            settings["dlatent_size"] = latents
        for whose, key, value in change:
            if whose == role:
                settings[key] = value
        settings = {key: value for key, value in settings.items() if value is not None}
        networks.append(pickler.network(role, dicts(settings), variables, dicts(parts), version))
    return tuple(networks)


VARIANTS = {
    "Python 3's own": ("a", FOLDER, 4, {}),
    "float64 in protocol 2, EasyDict": (
        *("b", ("G", "D", "I", "Gs", "Is"), 2),
        {"values": np.float64, "dicts": "EasyDict", "version": 2},
    ),
    "big-endian": ("c", FOLDER, 4, {"values": lambda value: value.astype(">f4"), "numbers": np.float32}),
    "numpy's scalars": ("b", ("G", "D", "Gs"), 5, {"numbers": np.int64, "version": 3}),
    # from here on slow
    "as for Python 2": ("a", ("G", "D", "I", "Gs", "Is"), 2, {"version": 2}),
    "Fortran's order": ("c", ("G", "D", "I", "Gs", "Is"), 5, {"values": np.asfortranarray}),
    "big-endian float64 in protocol 0": ("c", ("G", "D", "Gs"), 0, {"values": lambda value: value.astype(">f8")}),
}


@pytest.mark.parametrize(
    ("case", "roles", "protocol", "how"),
    [
        pytest.param(*variant, id=name, marks=[] if k < 2 else pytest.mark.slow)
        for k, (name, variant) in enumerate(VARIANTS.items())
    ],
)
def test_a_published_checkpoint_draws_and_reads_as_it_did(pickler, command, tmp_path, case, roles, protocol, how):
    arrays = oracle(case)
    how = {key: pickler.EasyDict if value == "EasyDict" else value for key, value in how.items()}
    file = pickler.write(tmp_path / "network-snapshot-000123.pkl", published(pickler, arrays, roles, **how), protocol)
    folder = tmp_path / "imported" / "run"
    status, printed, complaint = command("import", f"pkl={file}", f"run={folder}")
    assert not complaint
    assert status == 0
    assert str(folder) in printed
    assert "note" not in printed
    assert not {"dnnlib", "tensorflow"} & sys.modules.keys()

    def close(ours, name):
        theirs = torch.from_numpy(arrays[f"out/{name}"])
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max(), name

    loaded = load_run(folder)
    model = loaded.model
    assert loaded.images_seen == 123_000
    images, moved = (model.generate(torch.from_numpy(arrays[f"in/{z}"])) for z in ("z", "z_perturbed"))
    close(images, "images")
    close(moved, "images_perturbed")
    assert model.has_recognizer == ("I" in roles)
    if model.has_recognizer:
        codes = model.encode(torch.cat([images, moved])).chunk(2)
        close(codes[0], "code_1")
        close(codes[1], "code_2")
    # A training's own networks, of which a new one can start.
    system = DisentanglingGAN(loaded.config, model.channels)
    system.load_state_dict(load_checkpoint(RunDir(folder).last_checkpoint)["state_dict"])
    with torch.no_grad():
        _, masks = system.generator_ema(torch.from_numpy(arrays["in/z"]), return_masks=True)
        for k, mask in enumerate(masks):
            close(mask, f"masks_{k}")
        close(system.discriminator(images), "score_fake")
        close(system.discriminator(torch.from_numpy(arrays["in/real"])), "score_real")
    for ours, average in ((system.generator, system.generator_ema), (system.recognizer, system.recognizer_ema)):
        if average is not None:
            assert torch.equal(ours.state_dict()[name := next(iter(ours.state_dict()))], average.state_dict()[name] / 2)


@pytest.fixture
def imported(pickler, command, tmp_path):
    """A function: case, roles, what is said besides, what :func:`published` is told -> what the command said."""

    def act(case, roles=FOLDER, words=(), change_networks=lambda networks: networks, **how):
        networks = change_networks(published(pickler, oracle(case), roles, **how))
        file = pickler.write(tmp_path / "published.pkl", networks)
        return command("import", f"pkl={file}", f"run={tmp_path / 'run'}", *words)

    return act


def generator(networks, role="Gs"):
    return next(network for network in networks if network.name == role)


@pytest.mark.slow
def test_d_and_q_may_have_other_channels(pickler, command, tmp_path):
    """A Q with half of D's channels, drawn at random, answers as a network built with that many."""
    arrays = oracle("a")
    narrow = Critic(16, 3, arrays["in/z"].shape[1], FeatureMaps(64, 0.5, 3, 20))
    for name in [name for name in arrays if name.startswith("weight/I/")]:
        del arrays[name]
    for name, tensor in critic_names(narrow, "I"):
        order = (2, 3, 1, 0) if tensor.ndim == 4 else tuple(reversed(range(tensor.ndim)))
        arrays[f"weight/{name}:0"] = tensor.detach().permute(order).numpy()
    config = json.loads(str(arrays["config"])) | {
        "I": {"fmap_base": 64, "fmap_decay": 0.5, "fmap_min": 3, "fmap_max": 20}
    }
    arrays["config"] = np.array(json.dumps(config))
    file = pickler.write(tmp_path / "a.pkl", published(pickler, arrays))
    assert command("import", f"pkl={file}", f"run={tmp_path / 'run'}")[0] == 0
    images = torch.from_numpy(arrays["in/real"])
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "run").encode(images), narrow(images))
    assert command("export", f"run={tmp_path / 'run'}", f"out={tmp_path / 'a.safetensors'}")[0] == 0
    torch.testing.assert_close(load(tmp_path / "a.safetensors").encode(images), load(tmp_path / "run").encode(images))
    card = (tmp_path / "a.safetensors.md").read_text()
    assert "Imported from the published checkpoint `a.pkl`" in card
    assert "model.recognizer.feature_maps.base | 64" in card
    assert "model.ps.weight" not in card  # ours, not what it was trained with


@pytest.mark.slow
def test_without_noise_its_variables_count_for_nothing(imported, tmp_path):
    data = oracle("a")
    z, noisy = (torch.from_numpy(data[key]) for key in ("in/z", "out/images"))

    def silenced(networks):
        for network in networks[0], networks[3]:
            synthesis = network.components["synthesis"]
            synthesis.variables = [pair for pair in synthesis.variables if "noise" not in pair[0]]
        return networks

    for words in (silenced, lambda networks: networks):
        change = [(role, "use_noise", np.bool_(False)) for role in ("G", "Gs")]
        assert imported("a", words=["--force"], change_networks=words, change=change)[0] == 0
        model = load(tmp_path / "run")
        assert not torch.allclose(model.generate(z), noisy, atol=1e-3)
        strengths = [value for name, value in model.generator.named_parameters() if name.endswith("strength")]
        assert len(strengths) == 2
        assert not any(map(float, strengths))


def test_what_means_nothing_here_is_listed(imported):
    status, printed, _ = imported("c", change=[("Gs", "latent_distribution", "normal"), ("D", "mbstd", {1: [2]})])
    assert status == 0
    assert "note     not used, unknown here: D.mbstd, Gs.latent_distribution" in printed


def without(name, role="Gs"):
    def act(networks):
        network = generator(networks, role)
        owner = network.components["synthesis"] if role[0] == "G" else network
        owner.variables = [pair for pair in owner.variables if pair[0] != name]
        return networks

    return act


def with_variable(name, value, role="Gs"):
    def act(networks):
        network = generator(without(name, role)(networks), role)
        owner = network.components["synthesis"] if role[0] == "G" else network
        owner.variables = [*owner.variables, (name, value)]
        return networks

    return act


def with_state(**state):
    def act(networks):
        vars(generator(networks)).update(state)
        return networks

    return act


CHANGES = [
    ([("Gs", "num_channels", None)], "Gs: static_kwargs has no num_channels"),
    ([("Gs", "fmap_base", "many")], "Gs: fmap_base is many, but must be a number"),
    ([("Gs", "fmap_base", 0.5)], "Gs: fmap_base=0.5: must be a whole number"),
    ([("D", "fmap_decay", [1])], "D: fmap_decay is a list, but must be a number"),
    ([("D", "fmap_base", 64)], "D: published variable D/16x16/FromRGB/weight: shape"),
    ([("I", "dlatent_size", 7)], "I: dlatent_size is 7, but module_list of Gs takes 5 latents"),
    ([("Gs", "latent_size", 6)], "Gs: latent_size is 6, but module_list of Gs takes 5 latents"),
    ([("D", "resolution", 32)], "D: resolution is 32, but that of Gs is 16"),
    ([(role, "resolution", 32) for role in FOLDER], "resolution is 32, but module_list draws 16 px"),
    ([(role, "resolution", 24) for role in FOLDER], "resolution is 24, but must be a power of two"),
    ([(role, "num_channels", 4) for role in FOLDER], "Gs: num_channels is 4, but must be 1 or 3"),
    ([("D", "label_size", np.int64(10))], "D: label_size is above 0"),
    ([("Gs", "use_noise", "no")], "Gs: use_noise is no, but must be true or false"),
    ([("Gs", "module_list", 3)], "Gs: module_list is 3, but must be a list of names of modules"),
    ([("Gs", "module_list", ["Const-16", "Mystery-3"])], "'Mystery-3' is no generator module"),
    ([("Gs", "module_list", ["Const-16", "Noise-99999", "C_global-5"])], "Noise-99999 has more layers than"),
    ([("Gs", "module_list", ["Const-1000000000", "C_global-5"])], "makes more than 1,000,000,000 weights"),
]
NETWORKS = [
    (without("ToRGB/bias"), "Gs: published variable G/ToRGB/bias is missing"),
    (without("Output/Dense_VC/bias", "I"), "I: published variable I/Output/Dense_VC/bias is missing"),
    (with_variable("ToRGB/bias", np.zeros(7, np.float32)), "Gs: published variable G/ToRGB/bias: shape (7,)"),
    (with_variable("ToRGB/bias", np.full(3, 1e300)), "Gs: variable G/ToRGB/bias holds numbers that are not finite"),
    (with_variable("ToRGB/bias", "zero"), "Gs: variable ToRGB/bias is zero, not an array of numbers"),
    (with_variable("Extra/weight", np.zeros(3)), "Gs: published variables belong to no layer: G/Extra/weight"),
    (with_state(static_kwargs=[]), "Gs: static_kwargs is a list, but must be a dict"),
    (with_state(version=5), "Gs: version is 5, but must be 2, 3 or 4"),
    (with_state(variables=[("a",)]), "Gs: variables holds a tuple, but must hold pairs"),
    (with_state(components={"synthesis": 1}), "Gs: a component is 1, but must be a network"),
    (lambda networks: networks[:2], "holds a tuple, not networks (G, D, Gs) or (G, D, I, Gs) or (G, D, I, Gs, Is)"),
    (lambda networks: {"G": networks[0]}, "holds a dict, not networks"),
]
ALL = [({"change": change}, said) for change, said in CHANGES] + [
    ({"change_networks": act}, said) for act, said in NETWORKS
]


@pytest.mark.parametrize(("how", "said"), ALL)
def test_what_is_no_published_checkpoint_is_one_line_and_writes_nothing(imported, tmp_path, how, said):
    status, _, complaint = imported("a", **how)
    assert (status, complaint.count("\n")) == (2, 1)
    assert said in complaint
    assert "published.pkl" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["published.pkl"]


def test_one_array_for_a_thousand_variables_claims_no_memory(imported):
    array = np.zeros((3, 3, 128, 512), np.float32)
    many = [(f"{k}/weight", array) for k in range(1000)]
    status, _, complaint = imported("a", change_networks=lambda networks: (*networks[:3], many_of(networks[3], many)))
    assert status == 2
    assert "refused: the variables of Gs claim more bytes than the file has" in complaint


def many_of(network, variables):
    network.components["synthesis"].variables = variables
    return network


class Call:
    def __reduce__(self):
        return os.system, ("touch target",)


@pytest.mark.parametrize("place", ["settings", "variables", "instead of a network"])
def test_a_pickle_that_wants_to_run_something_is_one_line(imported, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)

    def malicious(networks):
        if place == "settings":
            generator(networks).static_kwargs["resolution"] = Call()
        elif place == "variables":
            networks[0].variables.append(("lod", Call()))
        return (Call(), *networks[1:]) if place == "instead of a network" else networks

    status, _, complaint = imported("c", change_networks=malicious)
    assert (status, complaint.count("\n")) == (2, 1)
    assert "published.pkl: refused: it asks for os.system" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["published.pkl"]


def test_a_file_that_was_cut_off_is_one_line(imported, command, tmp_path):
    assert imported("c")[0] == 0
    file = tmp_path / "published.pkl"
    whole = file.read_bytes()
    for share in (0.01, 0.5, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])
        status, _, complaint = command("import", f"pkl={file}", f"run={tmp_path / 'other'}")
        assert (status, complaint.count("\n")) == (2, 1)
        assert "published.pkl: " in complaint
        assert "damaged" in complaint or "cut off" in complaint
    assert not (tmp_path / "other").exists()


def test_a_network_in_a_network_without_end_is_read_once(imported, tmp_path):
    def tied(networks):
        network = generator(networks)
        network.components["loop"] = network
        network.static_kwargs["loop"] = [network, networks]
        network.components["synthesis"].components["again"] = network
        network.variables.append(("synthesis", np.zeros(1)))
        return networks

    status, _, complaint = imported("a", change_networks=tied)
    assert status == 2
    assert "Gs: its component 'loop' has weights" in complaint


def test_an_imported_run_is_written_over_only_when_asked_and_keeps_its_names(imported, command, tmp_path):
    run = tmp_path / "run"
    assert imported("a")[0] == 0
    (run / "latents.yaml").write_text("2: smile\n")
    (run / "eval.jsonl").write_text("{}\n")
    before = load(run)
    status, _, complaint = imported("c", words=["data.name=shapes3d"])
    assert status == 2
    assert "is there already; force=true (make: FORCE=1) writes over it" in complaint
    status, printed, _ = imported("c", words=["data.name=shapes3d", "force=1"])
    assert status == 0
    assert "guess" not in printed
    after = load(run)
    assert (before.resolution, before.num_latents, after.num_latents) == (16, 5, 5)
    assert before.generator.specs != after.generator.specs
    assert after.names[2] == "smile"
    assert not (run / "eval.jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published.pkl", "run"]
    (run / "config.yaml").unlink()
    status, _, complaint = imported("c", words=["force=1"])
    assert "is there already, and is no imported run; choose another folder" in complaint


@pytest.mark.slow
def test_metrics_that_need_data_say_what_to_set(imported, command, tmp_path):
    """The data is not in a pickle: photographs must be pointed at, and are not made up."""
    run = tmp_path / "run"
    assert imported("a", words=[f"data.root={tmp_path / 'photos'}", f"data.cache={tmp_path / 'cache'}"])[0] == 0
    status, _, complaint = command("eval", f"run={run}", "metrics=fd_vgg", "images=8", "device=cpu")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "data.root" in complaint
    status, _, complaint = command("eval", f"run={run}", "metrics=mig", "device=cpu")
    assert "images has none; if it was trained on a set that has, import it again with data.name=" in complaint
    status, _, complaint = imported("a", words=["data.name=dsprites", "force=1"])
    assert "data.name=dsprites: has images of 1 channels, the networks draw 3" in complaint


@pytest.mark.slow
def test_every_command_takes_an_imported_run(imported, command, tmp_path, short_tpl):
    run = tmp_path / "run"
    assert imported("a", words=["data.name=shapes3d"])[0] == 0
    assert command("generate", f"run={run}", "n=4", "attrs=1")[0] == 0
    assert command("traverse", f"run={run}", "device=cpu")[0] == 0
    assert command("report", f"run={run}", "train=64", "test=16", "samples=4", "device=cpu")[0] == 0
    rows = {row["metric"]: row for row in map(json.loads, (run / "eval.jsonl").read_text().splitlines())}
    assert rows["mig"]["data"]["name"] == "shapes3d"
    page = (run / "report.html").read_text()
    assert "Imported from published.pkl, which does not say how it was trained." in page
    assert command("project", f"run={run}", f"images={run / 'generated' / 'images'}", "steps=2", "device=cpu")[0] == 0
    assert "1 finished" in command("status", f"runs={run}")[1]
    networks = json.loads(str(oracle("a")["config"]))
    maps = "{base: 256, decay: 1, min: 8, max: 32}"
    words = [f"run.init_from={run}", f"run.root={tmp_path}", "run.name=on", "trainer.max_kimg=0.008"]
    words += [f"model.generator.modules=[{','.join(networks['modules'])}]", "model.generator.feature_map_scale=4"]
    words += [f"model.{network}.feature_maps={maps}" for network in ("generator", "critic", "recognizer")]
    words += [
        "model.mask=rectangles",
        "data.resolution=16",
        "trainer.batch_size=4",
        "trainer.accelerator=cpu",
        "trainer.devices=1",
    ]
    assert command("train", "exp=shapes3d_quick", *words, "factors.images=64", "logger.wandb.mode=disabled")[0] == 0
