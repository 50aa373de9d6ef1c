"""scikit-learn's own checks of estimators, of those for tables."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.sklearn import TabularClassifier, TabularRegressor

pytestmark = pytest.mark.once

CHECKS = parametrize_with_checks([TabularClassifier("fast"), TabularRegressor("fast")])
NAMES, GENERATED = CHECKS.args  # a generator, before scikit-learn 1.9, of which pytest 9 warns


@pytest.mark.parametrize(NAMES, list(GENERATED), **CHECKS.kwargs)
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)
