import ast
import dataclasses
import inspect
import pathlib

import pytest
from flax import nnx

import reparam_jax as rj
from tests.noise.test_fold import LAWS
from tests.samplers.table import TABLE

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "reparam_jax"
STAIRCASE = (
    "noise",
    "special",
    "samplers",
    "relaxations",
    "distributions",
    "estimators",
    "objectives",
    "layers",
    "diagnostics",
)
ROOMS = {*STAIRCASE, "testing"}
# What every room may stand on: the checks, and what they are made of.
GROUND = {path.stem for path in PACKAGE.glob("_[a-z]*.py")}
SOURCES = sorted(PACKAGE.rglob("*.py"))
LISTS = sorted(PACKAGE.rglob("__init__.py"))


def name(path):
    return str(path.relative_to(ROOT))


def imported_modules(source, package):
    """Every module, and every name in a module, that the source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_rooms(source, package):
    paths = [module.split(".") for module in imported_modules(source, package)]
    ours = {path[1] for path in paths if path[0] == "reparam_jax" and len(path) > 1}
    return ours - GROUND


def is_one_way(source, room):
    earlier = STAIRCASE[: STAIRCASE.index(room)] if room in STAIRCASE else ()
    return imported_rooms(source, ["reparam_jax", room]) <= {room, *earlier}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py")), ids=name)
def test_rooms_import_only_from_earlier_rooms(path):
    assert is_one_way(path.read_text(), path.parent.name)


@pytest.mark.parametrize(
    ("room", "line", "allowed"),
    [
        ("samplers", "from reparam_jax import _checks, noise", True),
        ("samplers", "from reparam_jax._checks import FINITE", True),
        ("samplers", "from ._normal import normal", True),
        ("samplers", "from reparam_jax import layers", False),
        ("noise", "from reparam_jax.samplers import normal", False),
        ("noise", "import reparam_jax.samplers", False),
        ("noise", "from .. import samplers", False),
        ("noise", "from ..samplers._normal import normal", False),
        ("noise", "def f():\n  from reparam_jax import samplers", False),
        ("testing", "from reparam_jax import noise", False),
        ("noise", "from reparam_jax import _elsewhere", False),
        ("testing", "from . import _assertions", True),
    ],
)
def test_the_staircase_check_sees_every_way_to_import(room, line, allowed):
    assert is_one_way(line, room) is allowed


@pytest.mark.parametrize("module", sorted(GROUND))
def test_the_ground_imports_no_room(module):
    source = (PACKAGE / f"{module}.py").read_text()
    assert imported_rooms(source, ["reparam_jax"]) == set()
    assert "_checks" in GROUND


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert folders <= ROOMS


# Tested by one table for all: a file of its own holds what is particular to a member.
IN_A_TABLE = {
    *(f"samplers/_{row.name}.py" for row in TABLE),
    *(f"noise/_{law.__name__}.py" for law in LAWS),
}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("_[a-z]*.py")), ids=name)
def test_every_source_file_has_a_test_file_or_a_row_in_a_table(path):
    source = path.relative_to(PACKAGE)
    test_file = ROOT / "tests" / source.parent / f"test{path.name}"
    assert test_file.exists() or str(source) in IN_A_TABLE


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_the_package_imports_neither_jax_internals_nor_experiments(path):
    package = path.relative_to(ROOT).parent.parts
    for module in imported_modules(path.read_text(), list(package)):
        assert not module.startswith(("jax._src", "jaxlib", "experiments", "tests"))


@pytest.mark.parametrize("path", LISTS, ids=name)
def test_public_lists_hold_reexports_only(path):
    docstring, *statements = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    for node in statements:
        if isinstance(node, ast.Assign):
            assert path.parent == PACKAGE
            assert [target.id for target in node.targets] == ["__version__"]
        else:
            assert isinstance(node, ast.ImportFrom)
            assert all(alias.name == alias.asname for alias in node.names)


def members(room):
    return [
        (f"{room.__name__}.{key}", value)
        for key, value in vars(room).items()
        if callable(value) and not key.startswith("_")
    ]


def public_members():
    rooms = [room for room in vars(rj).values() if inspect.ismodule(room)]
    rooms = [room for room in rooms if room.__name__.split(".")[-1] in ROOMS]
    return dict(member for room in [rj, *rooms] for member in members(room))


def parameters(member):
    if inspect.isclass(member):
        _, *parameters = inspect.signature(member.__init__).parameters.values()
        return parameters
    return list(inspect.signature(member).parameters.values())


PUBLIC = public_members()
STARS = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}


def test_the_public_members_are_found():
    expected = {
        "reparam_jax.normal",
        "reparam_jax.validation",
        "reparam_jax.noise.bits",
        "reparam_jax.samplers.normal_from_noise",
        "reparam_jax.layers.Sample",
    }
    assert expected <= PUBLIC.keys()


@pytest.mark.parametrize("member", PUBLIC)
def test_docstrings_are_contracts(member):
    thing = PUBLIC[member]
    text = inspect.getdoc(thing)
    described = ["Example:"] + ["Args:"] * bool(parameters(thing))
    if not inspect.isclass(thing):
        described.append("Yields:" if thing is rj.validation else "Returns:")
    if thing is not rj.validation:
        described.append("Gradient:")
    assert [heading for heading in described if heading not in text] == []
    arguments = text.partition("Args:")[2]
    for parameter in parameters(thing):
        stars = STARS.get(parameter.kind, "")
        assert f"\n  {stars}{parameter.name}: " in arguments


CLASSES = [key for key in PUBLIC if inspect.isclass(PUBLIC[key])]
LAYERS = [key for key in CLASSES if issubclass(PUBLIC[key], nnx.Module)]
ESTIMATORS = [key for key in CLASSES if hasattr(PUBLIC[key], "estimate")]


def test_classes_are_layers_or_estimators():
    assert sorted(CLASSES) == sorted(LAYERS + ESTIMATORS)


@pytest.mark.parametrize("member", ESTIMATORS)
def test_estimators_are_frozen_and_tell_draws_gradient_and_cost(member):
    estimator = PUBLIC[member]
    assert dataclasses.is_dataclass(estimator)
    assert estimator.__dataclass_params__.frozen
    text = inspect.getdoc(estimator)
    assert [part for part in ("Draws:", "Gradient:", "Cost:") if part not in text] == []


@pytest.mark.parametrize("member", LAYERS)
def test_layers_document_their_call(member):
    text = inspect.getdoc(PUBLIC[member].__call__)
    assert "Args:" in text
    assert "Returns:" in text


# The point at which a special function is evaluated has no longer name.
DRAWS = {"t", "x", "z"}


@pytest.mark.parametrize("member", PUBLIC)
def test_public_functions_name_options_and_pass_them_by_keyword(member):
    for parameter in parameters(PUBLIC[member]):
        is_switch = isinstance(parameter.default, bool)
        assert not is_switch or parameter.kind is parameter.KEYWORD_ONLY
        assert len(parameter.name) > 1 or parameter.name in DRAWS
