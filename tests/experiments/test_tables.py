"""Cells of the tables that experiments print."""

import numpy as np

from experiments._tables import mean_and_error


def test_several_values_have_the_standard_error_of_their_mean():
    values = np.array([1.0, 2.0, 6.0])  # squares off the mean: 4 + 1 + 9 = 14
    assert mean_and_error(values) == "3.00 +- 1.53"  # sqrt(14 / 2 / 3)
    assert mean_and_error(1000 * values, ",.0f") == "3,000 +- 1,528"
    assert mean_and_error(values, ".3g", error_spec=".1g") == "3 +- 2"


def test_one_value_has_no_error():
    assert mean_and_error(np.array([1.25]), ".1f") == "1.2"
