"""The page about the handbook, and the figures of a data set."""

from pathlib import Path

import numpy as np
import pytest
from conftest import transactions

from fraudops_training import handbook
from fraudops_training.dataset import from_table
from fraudops_training.reproduce import Results, statistics
from fraudops_training.science_page import render

PAGE = Path(__file__).parents[3] / "docs" / "science.md"


def results(seed: int, shift: float) -> Results:
    def figures(rows) -> dict:
        return {row.title: tuple(np.array(row.published or (0.8, 0.6, 0.3)) + shift) for row in rows}

    return Results(
        seed=seed,
        statistics=dict(handbook.STATISTICS),
        ceiling=0.4,
        test=(58_264, 385),
        baseline=figures(handbook.BASELINE),
        prequential=figures(handbook.PREQUENTIAL),
        seconds=1.0,
    )


def test_the_figures_of_a_data_set_are_counted():
    rows = from_table(transactions(rows_per_day=50, days=40), None)
    counted = statistics(rows)
    assert counted["rows"] == len(rows) and counted["frauds"] == rows.label.sum()
    assert sum(counted[f"frauds of scenario {name}"] for name in ("1 (amount)", "2 (terminal)", "3 (card)")) == (
        rows.label.sum()
    )
    assert counted["customers with a transaction"] == len(set(rows.customer.tolist()))
    assert counted["rows of a day, mean"] == pytest.approx(50)
    assert counted["largest amount"] == pytest.approx(rows.features[:, 0].max())


def test_the_page_counts_what_lies_within_the_spread():
    page = render([results(0, -0.01), results(1, 0.01)])
    assert "30 of 30 published figures lie within two standard deviations" in page
    assert "| decision tree, depth 2 | 0.763 / 0.496 / 0.241 | 0.763 ± 0.014 | 0.496 ± 0.014 |" in page
    assert "@" not in page.replace("CP@100", "").replace("precision@100", "")
    far = render([results(0, 0.2), results(1, 0.201)])
    assert "0 of 30 published figures" in far


def test_one_data_set_has_no_spread_and_no_distance():
    assert "± 0.000 | - |" in render([results(0, 0.0)])


def test_the_committed_page_has_every_published_figure_and_six_data_sets():
    page = PAGE.read_text()
    for row in (*handbook.BASELINE, *handbook.PREQUENTIAL):
        if row.published:
            assert f"| {row.title} | {' / '.join(f'{value:.3f}' for value in row.published)} |" in page
    assert "6 seeds (0, 1, 2, 3, 4, 5)" in page
