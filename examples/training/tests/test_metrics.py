import numpy as np
import pytest

from fraudops_training.dataset import Transactions
from fraudops_training.metrics import ap_interval, card_precision, evaluate, recall_by_scenario, weighted_ap
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


def test_the_interval_holds_the_value_and_narrows_with_more_customers():
    rng = np.random.default_rng(0)

    def interval(count) -> tuple[float, float, float]:
        label = (rng.random(count) < 0.1).astype(int)
        score = np.round(label * 0.3 + rng.random(count), 1)  # many equal scores, as trees give them
        data = rows(np.zeros(count, int), np.arange(count), label)
        return (*ap_interval(data, score), evaluate(data, score).ap)

    (low, high, value), (low_of_many, high_of_many, value_of_many) = interval(400), interval(20_000)
    assert low < value < high and low_of_many < value_of_many < high_of_many
    assert high_of_many - low_of_many < (high - low) / 4


def test_a_resample_of_everything_once_is_the_average_precision():
    data = rows([0] * 6, range(6), [1, 0, 1, 0, 1, 0])
    score = np.array([0.9, 0.9, 0.5, 0.5, 0.5, 0.1])
    assert weighted_ap(data.label, score)(np.ones(6)) == pytest.approx(evaluate(data, score).ap)
    # Weight two is the same as the row twice.
    twice = rows([0] * 7, range(7), [1, 0, 1, 0, 1, 0, 1])
    assert weighted_ap(data.label, score)(np.array([1, 1, 2, 1, 1, 1])) == pytest.approx(
        evaluate(twice, np.append(score, 0.5)).ap
    )


def test_customers_are_drawn_and_not_their_rows():
    # One customer has all frauds: a draw has all of them or none, so the interval cannot be narrow.
    data = rows([0] * 40, [0] * 20 + list(range(1, 21)), [1] * 20 + [0] * 20)
    low, high = ap_interval(data, np.linspace(0, 1, 40))
    assert high - low > 0.1
