import pytest
import yaml

from tests.conftest import mostly_slow
from wherewhat_pl.config import check_divisible, load_config, saved_config, to_dict, to_yaml
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.networks.module_lists import module_list
from wherewhat_pl.run.folder import RunDir, find_run
from wherewhat_pl.schema import settings_of
from wherewhat_pl.settings import ExperimentConfig

# What YAML takes for numbers, dates, truth, nothing, comments, keys or references to other places.
LIKE_YAML = (
    "007", "1.10", "1_000", "2024_01_05", "2024-01-05", "12:30", "8e12345", "1e3", "0x1F", "yes", "off", "~", "~/a",
    "a #1", "a: b", "a,b", "a=b", "k=v=w", "[x]", "{x}", "'x'", '"x', "*x", "&x", "!x", "%x", "- x", " x ", "a\\b", "é",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.yaml").write_text("seed: 3\nmodel: {generator: {modules: [Const-4, C_spgroup-2-3]}}\n")
    (tmp_path / "child.yaml").write_text("extends: base\nmodel: {ps: {weight: 0.5, epsilon: 2}}\n")
    (tmp_path / "loop.yaml").write_text("extends: loop\n")
    (tmp_path / "broken.yaml").write_text("model: [\n")
    return tmp_path


def test_precedence_is_file_over_base_and_command_line_over_both(folder):
    config = load_config("child", ["model.ps.weight=0.25"], folder)
    assert (config.seed, config.model.ps.weight, config.model.ps.epsilon) == (3, 0.25, 2.0)
    assert config.experiment == "child"


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("chld", [], "exp=chld: no such experiment; did you mean 'child'?"),
        ("loop", [], "extends itself"),
        ("broken", [], "is no valid YAML"),
        ("base", ["model.ps.weigth=1"], "model.ps.weigth: no such setting; did you mean 'model.ps.weight'?"),
        ("base", ["ps.weigth=1"], "did you mean 'model.ps.weight'?"),
        ("base", ["model.loss=psx"], "model.loss=psx: must be one of ps, infogan, gan"),
        ("base", ["trainer.batch_size=many"], "trainer.batch_size=many: must be a whole number"),
        ("base", ["trainer.precision=16"], "trainer.precision=16: must be one of 32-true, bf16-mixed"),
        ("base", ["data.resolution=48"], "data.resolution=48: must be a power of two"),
        ("base", ["model.generator.modules=[Const-4,C_spg-4]"], "'C_spg-4' is no generator module"),
        ("base", ["model.generator.modules=[Const-4]"], "no module consumes latents"),
        ("base", ["model.r1.final_gamma=0.1"], "model.r1.final_gamma=0.1: falls while the rates do"),
        ("base", ["model.isometry.final_weight=0.1"], "model.isometry.final_weight=0.1: falls while the rates do"),
        ("base", ["model.ps.weight=-1"], "model.ps.weight=-1.0: must be a number from 0 to"),
        ("base", ["model.ps.weight=nan"], "model.ps.weight=nan: must be a number from 0 to"),
        ("base", ["seed"], "'seed': settings are given as key=value"),
        ("base", ["run.name=a/b"], "run.name=a/b"),
        ("base", ["seed="], "seed=: must be a whole number"),
        ("base", ["data.root="], "data.root=: must be text"),
        ("base", ["data=celeba"], "data=celeba: must be settings, {key: value}"),
        ("base", ["data={rot: x}"], "data.rot: no such setting; did you mean 'data.root'?"),
        ("base", ["eval.metrics=[mig"], "eval.metrics=[mig: cannot be read"),
        ("base", ["run.name=${seed}"], "run.name=${seed}: ${...} and ??? mean nothing here"),
        ("base", ["run.name=???"], "run.name=???: ${...} and ??? mean nothing here"),
        ("base", ["model.generator.feature_maps={base: x}"], "feature_maps.base=x: must be a whole number"),
        ("base", ["checkpoint.keep=1"], "checkpoint.keep=1: must be a whole number from 2 to"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(folder, experiment, overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(experiment, overrides, folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# What used to fail deep inside, after the run's folder was made, or never, or to take a machine's memory first.
IMPOSSIBLE = [
    "trainer.accelerator=banana", "trainer.max_kimg=inf", "trainer.threads=-1", "trainer.batch_size=0",
    "trainer.batch_size=100000000", "trainer.devices=1000000", "trainer.num_nodes=1000000", "model.optimizer.beta1=2",
    "model.optimizer.beta1=-1", "model.optimizer.beta1=nan", "model.optimizer.beta2=1", "model.optimizer.eps=-1",
    "model.optimizer.generator_interval=-1", "model.optimizer.learning_rate=inf", "factors.images=0",
    f"seed={2**70}", "checkpoint.interval_kimg=1e-320", "logger.interval_kimg=1e-320", "pictures.interval_kimg=0",
    "model.generator.feature_maps.max=0", "model.generator.feature_maps.base=-4", "model.generator.feature_map_scale=0",
    "model.critic.feature_maps.decay=nan", "model.infogan.norm=-1", "model.ps.epsilon=nan", "data.resolution=1048576",
    "model.generator.modules=[[Const-4]]", "model.generator.modules=[Const-4,ResConv-up-99999,C_global-1]",
    "model.generator.modules=[Const-4,C_global-100000]", "model.generator.modules=[Const-9999999999,C_global-1]",
    "model.generator.modules=[Const-4,ResConv-id-999999,C_global-1]",
    "model.generator.modules=[Const-4,Noise-9999999,C_global-1]",
    "model.generator.modules=[Const-4,ResConv-up-1,C_spgroup-99999999-9]", "model.generator.latents=100000000",
    "model.generator.modules=[" + "Const-4," * 3000 + "C_global-1]", "reference=${nope}", "data.max_bad=nan",
    "run.name=.", "run.name=..", "run.name=a/b", "run.name=" + "x" * 300, "run.name=a\nb", "run.name=\x1b[31m",
    "run.name=\udcff", "data.root=" + "x" * 5000, "model.ps.weight=" + "9" * 5000, "plugins=" + "x" * 3000,
    "plugins=[{a: b}]", "data.root=a\0b", "model.mask=" + "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("word", mostly_slow(IMPOSSIBLE, 16), ids=lambda word: word[:50])
def test_what_makes_no_sense_is_refused_at_once_in_one_short_line_that_names_the_key(folder, word):
    with pytest.raises(ConfigError) as error:
        load_config("base", [word], folder)
    assert word.split("=")[0] in str(error.value)
    assert len(str(error.value)) < 200
    assert str(error.value).isprintable()


def test_every_number_of_an_experiment_has_a_range_and_its_default_lies_in_it():
    for key, setting in settings_of(ExperimentConfig).items():
        if setting.kind in (int, float):
            assert setting.range, key
            assert setting.default is None or setting.default in setting.range, key


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("extends: [base]", "extends=['base']: must be the name of one experiment"),
        ("extends: 5", "extends=5: must be the name"),
        ("extends: ${x}", "${x}: ${...} and ??? mean nothing here"),
        ("reference: ${nope}", "${nope}: ${...} and ??? mean nothing here"),
        ("data: {root: '${oc.env:HOME}'}", "${...} and ??? mean nothing here"),
        ("seed: &a 1\ndata: {resolution: *a}", "an alias (*name) means nothing here"),
        ("model: 5", "model=5: must be settings, {key: value}"),
        ("[1]", "must hold keys and values"),
        ("seed: [", "is no valid YAML"),
        ("x: 1" * 400_000, "is too large"),
        (b"\xff\xfe\x00", "is no valid YAML"),
    ],
)
def test_a_file_that_is_no_experiment_is_named_with_what_is_wrong(folder, content, message):
    (folder / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as error:
        load_config("mine", [], folder)
    assert message in str(error.value)
    assert "mine.yaml" in str(error.value)


@pytest.mark.parametrize("name", ["..yaml", "...yaml"])
def test_an_experiment_whose_runs_would_lie_beside_their_folder_is_refused(folder, name):
    (folder / name).write_text("extends: base\n")
    with pytest.raises(ConfigError, match=r"experiment=.*runs lie in a folder of that name"):
        load_config(str(folder / name), [], folder)


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert load_config("~/base.yaml", [], folder).seed == 3
    assert RunDir.of(load_config("base", ["run.root=~/runs", "run.name=~"], folder)).path == folder / "runs/base/~"
    with pytest.raises(ConfigError, match="no run there"):
        find_run("~nobody-of-that-name/run")


def test_batch_must_split_over_the_processes():
    check_divisible(32, 4)
    with pytest.raises(ConfigError, match=r"32.*divisible by the 3 processes.*30 or 33"):
        check_divisible(32, 3)


def test_mask_switch_changes_only_rectangle_modules(folder):
    def modules(mask):
        return module_list(load_config("base", [], folder).model.generator.modules, mask)

    assert modules("rectangles") == ["Const-4", "C_spgroup-2-3"]
    assert modules("softmax") == ["Const-4", "C_spgroup_sm-3"]
    assert modules("none") == ["Const-4", "C_global-3"]


def test_reference_preset_holds_the_published_numbers_and_yields_to_the_file(folder):
    config = load_config("child", ["reference=true"], folder)
    assert config.model.optimizer.generator_interval == 4
    assert config.model.ps.random_epsilon
    assert config.model.ps.weight == 0.5  # the file's own
    assert config.model.r1.gamma == 100


def test_a_saved_configuration_reads_back_the_same(folder, tmp_path):
    config = load_config("child", ["run.name=x", "trainer.devices=2"], folder)
    (tmp_path / "saved.yaml").write_text(to_yaml(config))
    assert saved_config(tmp_path / "saved.yaml") == config


@pytest.mark.parametrize("text", mostly_slow(LIKE_YAML))
def test_text_is_what_was_typed_on_the_command_line_and_in_the_saved_run(folder, tmp_path, text):
    name = text.replace("/", "")
    config = load_config("base", [f"run.name={name}", f"data.root={text}", f"logger.wandb.project={text}"], folder)
    assert (config.run.name, config.data.root, config.logger.wandb.project) == (name, text, text)
    for file, saved in (("whole", to_yaml(config)), ("plain", yaml.safe_dump(to_dict(config), allow_unicode=True))):
        (tmp_path / f"{file}.yaml").write_text(saved)
        assert saved_config(tmp_path / f"{file}.yaml") == config


def test_text_needs_no_quotes_in_a_file_either(folder):
    (folder / "dated.yaml").write_text(
        "extends: base\nrun: {name: 2024_01_05}\ndata: {root: 8e12345}\nlogger: {wandb: {tags: [1.10, 007]}}\n"
    )
    config = load_config("dated", [], folder)
    assert (config.run.name, config.data.root, config.logger.wandb.tags) == ("2024_01_05", "8e12345", ["1.10", "007"])


@pytest.mark.parametrize("nothing", ["", "null", "None"])
def test_null_is_no_value_where_none_is_allowed(folder, nothing):
    words = [f"{key}={nothing}" for key in ("run.name", "data.cache", "trainer.devices", "eval.threshold")]
    config = load_config("base", ["run.name=x", "trainer.devices=2", *words], folder)
    assert (config.run.name, config.data.cache, config.trainer.devices, config.eval.threshold) == (None,) * 4


@pytest.mark.parametrize("words", ["007,1.10,a b", "[007, 1.10, a b]", "['007', \"1.10\", 'a b']"])
def test_a_list_is_said_with_commas_or_in_brackets(folder, words):
    assert load_config("base", [f"logger.wandb.tags={words}"], folder).logger.wandb.tags == ["007", "1.10", "a b"]


def test_a_group_is_said_at_once(folder):
    given = ["model.critic.feature_maps={base: 4, decay: 0, min: 4, max: 4}", "run={name: 007, root: 1.10}"]
    config = load_config("base", given, folder)
    assert config.model.critic.feature_maps.at(9) == 4
    assert (config.run.name, config.run.root) == ("007", "1.10")


def test_every_key_of_the_schema_is_listed():
    keys = settings_of(ExperimentConfig)
    for key in (
        "run.root",
        "run.name",
        "trainer.max_kimg",
        "trainer.batch_size",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.precision",
        "data.source",
        "data.root",
        "data.resolution",
        "model.loss",
        "model.mask",
        "model.ps.weight",
        "model.ps.epsilon",
        "seed",
    ):
        assert key in keys


def test_plain_dictionary_holds_plain_values(folder):
    def leaves(tree):
        return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]

    plain = to_dict(load_config("base", [], folder))
    assert all(value is None or isinstance(value, str | int | float | bool | list) for value in leaves(plain))
