import pytest

from wherewhat_pl.config import all_keys, check_divisible, load_config, saved_config, to_dict, to_yaml
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.networks.module_lists import module_list


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
        ("base", ["model.loss=psx"], "model.loss: Invalid value 'psx'"),
        ("base", ["trainer.batch_size=many"], "trainer.batch_size: Value 'many'"),
        ("base", ["trainer.precision=16"], "trainer.precision: Invalid value '16'"),
        ("base", ["data.resolution=48"], "data.resolution=48: must be a power of two"),
        ("base", ["model.generator.modules=[Const-4,C_spg-4]"], "'C_spg-4' is no generator module"),
        ("base", ["model.generator.modules=[Const-4]"], "no module consumes latents"),
        ("base", ["model.ps.weight=-1"], "model.ps.weight=-1.0: must be finite and not negative"),
        ("base", ["model.ps.weight=nan"], "must be finite"),
        ("base", ["seed"], "'seed': settings are given as key=value"),
        ("base", ["run.name=a/b"], "run.name=a/b"),
        ("base", ["checkpoint.keep=1"], "checkpoint.keep=1: must be at least 2"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(folder, experiment, overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(experiment, overrides, folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


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


def test_every_key_of_the_schema_is_listed():
    keys = all_keys()
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
