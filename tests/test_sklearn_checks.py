"""What scikit-learn asks of estimators, and its own tests of its nets: both with the estimators of this package."""

import importlib.util
import inspect
import re
import types
import warnings
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sklearn", "1.6")
import sklearn
from sklearn import neural_network
from sklearn.utils.estimator_checks import check_estimator

import fastnn.sklearn

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore")]  # as scikit-learn's own run lets them pass
KINDS = ("MLPClassifier", "MLPRegressor")
SETTINGS = [{}, {"solver": "sgd"}]
OK = ("passed", "skipped")
OWN_TESTS = "sklearn.neural_network.tests.test_mlp"
LEFT_OUT = {  # of scikit-learn's tests of its nets, and why
    "test_gradient": "calls _loss_grad_lbfgs, _unpack and _pack, private functions: the gradient of ours is tested in "
    "test_sklearn_fits, by the steps that it takes, and in test_losses and test_contract",
}


def outcomes(estimator) -> list[tuple[str, str]]:
    """The checks by name, each with how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    failed = [f"{one['check_name']}: {one['exception']!r}" for one in results if one["status"] not in OK]
    assert not failed, "\n".join(failed)
    return [(one["check_name"], one["status"]) for one in results]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_estimators_pass_the_checks_of_scikit_learn(kind, settings):
    """All that the original runs, with none that is expected to fail; skipped are those that it skips, too."""
    found = outcomes(getattr(fastnn.sklearn, kind)(**settings))
    assert Counter(status for _, status in found)["passed"] > 55
    if settings or sklearn.__version__.startswith("1.6."):  # whose nets had no sample_weight: fewer checks
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = check_estimator(getattr(neural_network, kind)(), on_skip=None, on_fail=None)
    wider = {"check_class_weight_classifiers", "check_classifier_multioutput"}  # what theirs do not have
    more = {name for name, _ in found if name in wider}
    found = [one for one in found if one[0] not in more]
    assert more == (wider if kind == "MLPClassifier" else set())
    assert found == [(one["check_name"], one["status"]) for one in theirs]
    if sklearn.__version__.startswith("1.9."):
        assert len(found) == {"MLPClassifier": 67, "MLPRegressor": 60}[kind]


class MLPClassifier(fastnn.sklearn.MLPClassifier):
    """With the name that scikit-learn's tests read the rate of a fit by."""

    _optimizer = property(lambda self: types.SimpleNamespace(learning_rate=self._rule.lr))


class MLPRegressor(fastnn.sklearn.MLPRegressor):
    _optimizer = MLPClassifier._optimizer


def own_tests() -> dict[str, object]:
    """scikit-learn's tests of its nets, with ours in their place."""
    spec = importlib.util.find_spec(OWN_TESTS)
    if spec is None or spec.origin is None:  # installed without tests
        return {}
    text = Path(spec.origin).read_text(encoding="utf-8")
    wanted = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
    assert text.count(wanted) == 1
    module = types.ModuleType("scikit_learns_own_tests")
    module.__file__ = spec.origin
    module.MLPClassifier, module.MLPRegressor = MLPClassifier, MLPRegressor
    exec(compile(text.replace(wanted, "\n"), spec.origin, "exec"), module.__dict__)
    return {name: found for name, found in vars(module).items() if name.startswith("test_")}


OWN = own_tests()
globals().update({name: found for name, found in OWN.items() if name not in LEFT_OUT})


@pytest.fixture
def global_random_seed():
    return 42


def test_which_of_its_own_tests_run():
    if not OWN:
        pytest.skip("scikit-learn is installed without its tests")
    assert set(LEFT_OUT) <= set(OWN)
    run = [name for name in OWN if name not in LEFT_OUT]
    assert all(globals()[name] is OWN[name] and inspect.isfunction(OWN[name]) for name in run)
    assert len(run) >= 33


def test_one_file_knows_private_parts_of_scikit_learn():
    """Versions move them: where they are, and what stands for them, is said in one place."""
    for path in Path(fastnn.sklearn.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = re.findall(
            r"^from sklearn[.\w]*\._\w+ import|^from sklearn[.\w]* import .*\b_[a-z]\w+", text, re.MULTILINE
        )
        assert bool(found) is (path.name == "borrowed.py"), (path.name, found)


PAGES = {  # of each estimator the page whose tables have its parameters and attributes
    "MLPClassifier": "from_scikit_learn", "MLPRegressor": "from_scikit_learn",
    "TabularClassifier": "tabular", "TabularRegressor": "tabular",
}  # fmt: skip


@pytest.mark.parametrize("kind", PAGES)
def test_each_parameter_and_attribute_stands_in_a_table(kind):
    """On its page, and in its docstring; and the tables name nothing that no estimator of the page has."""
    make = getattr(fastnn.sklearn, kind)
    text = (Path(__file__).parents[1] / "docs" / f"{PAGES[kind]}.md").read_text(encoding="utf-8")
    tables = [text.split(f"## {name}\n")[1].split("\n## ")[0] for name in ("Parameters", "Attributes")]
    named = [{*re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", part, re.MULTILINE)))} for part in tables]
    x, settings = [[0.0, "a"], [1.0, "b"]] * 40, {"random_state": 0}
    if kind.startswith("MLP"):
        settings |= {"max_iter": 1, "early_stopping": True, "categorical_features": [1]}
    pandas = pytest.importorskip("pandas")
    model = make(**settings).fit(pandas.DataFrame(x, columns=["x", "kind"]), pandas.Series([0, 1] * 40, name="y"))
    parameters = {*model.get_params()}
    attributes = {name for name in dir(model) if name.endswith("_") and not name.startswith("_")} - {
        "permutation_importance_"  # a method
    }
    assert not parameters - named[0]
    assert not attributes - named[1]
    others = {"MLPClassifier": {"estimators_", "nets_"}}.get(kind, set())  # of an ensemble
    if kind.endswith("Classifier"):
        assert not named[0] - parameters
        assert not named[1] - attributes - others
    assert " : Any\n" not in make.__doc__  # where entries of another class stand
    for name in parameters | attributes:
        assert re.search(rf"^    (\w+, )*{name}(, \w+)* :", make.__doc__, re.MULTILINE), name
