import numpy as np
import pytest

from fraudops_training.dataset import Transactions
from fraudops_training.metrics import card_precision, evaluate, recall_by_scenario
from fraudops_training.schema import FEATURES


def rows(day, customer, label, scenario=None) -> Transactions:
    return Transactions(
        np.zeros((len(day), len(FEATURES)), np.float32),
        np.array(label),
        np.array(customer),
        np.datetime64("2018-08-08") + np.array(day),
        None if scenario is None else np.array(scenario),
    )


def test_a_card_counts_once_a_day_with_its_highest_score():
    data = rows([0, 0, 0], [1, 1, 2], [0, 1, 0])
    # Card 1 is compromised, although its highest score belongs to a genuine row.
    assert card_precision(data, np.array([0.9, 0.1, 0.5]), k=1) == 1.0


def test_a_found_card_makes_room_on_the_next_day():
    data = rows([0, 0, 1, 1], [1, 2, 1, 2], [1, 0, 1, 1])
    score = np.array([0.9, 0.1, 0.8, 0.7])
    # Day 0 finds card 1; on day 1 it is left out, so card 2 is the best one.
    assert card_precision(data, score, k=1) == 1.0


def test_the_denominator_stays_k_when_frauds_are_few():
    data = rows([0, 0, 0], [1, 2, 3], [1, 0, 0])
    result = evaluate(data, np.array([0.9, 0.5, 0.1]), k=100)
    assert result.card_precision == result.ceiling == pytest.approx(0.01)


def test_auc_and_average_precision_of_a_known_ranking():
    data = rows([0] * 4, [1, 2, 3, 4], [1, 0, 1, 0])
    result = evaluate(data, np.array([0.9, 0.8, 0.7, 0.1]))
    assert result.auc == pytest.approx(0.75)
    assert result.ap == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_recall_is_counted_for_each_scenario():
    data = rows([0] * 4, [1, 2, 3, 4], [1, 1, 1, 0], scenario=[1, 2, 2, 0])
    assert recall_by_scenario(data, np.array([0.9, 0.8, 0.1, 0.9]), 0.5) == {1: 1.0, 2: 0.5}
    assert recall_by_scenario(rows([0], [1], [0]), np.array([0.9]), 0.5) == {}
