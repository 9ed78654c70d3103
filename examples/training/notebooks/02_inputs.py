# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. The inputs
#
# **Which of the 15 inputs tells which fraud, and what would happen if labels were not late?**
#
# The inputs are what a feature store can know when the card is used: the amount and the time, what the card did in the
# last 1, 7 and 30 days, and what happened at the terminal. Labels are known after seven days, so the terminal's
# windows end seven days ago.

# %%
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudops_training.dataset import read_transactions
from fraudops_training.lab import axes, claim, data_file, learned, table
from fraudops_training.leak import with_leaked_risk
from fraudops_training.reproduce import START
from fraudops_training.schema import AMOUNT, FEATURES
from fraudops_training.split import Protocol, split

file = data_file()
rows = read_transactions(file)
parts = split(rows, Protocol(START))
train = parts.train
print(f"training: {len(train):,} rows, {train.label.sum()} frauds")

# %% [markdown]
# ## One input at a time
#
# An input is used as if it were a score, upwards or downwards, whichever is better. An area of 0.5 is a coin. Each
# scenario is held against the genuine rows alone.

# %%
SCENARIOS = {1: "amount", 2: "terminal", 3: "card"}


def area(column, code):
    """Area under the ROC curve of one input for one scenario."""
    chosen = (train.label == 0) | (train.scenario == code)
    value = roc_auc_score(train.scenario[chosen] == code, column[chosen])
    return max(value, 1 - value)


areas = {name: [area(train.features[:, place], code) for code in SCENARIOS] for place, name in enumerate(FEATURES)}
table(
    ["input", *(f"area, scenario {code} ({name})" for code, name in SCENARIOS.items())],
    [[n, *v] for n, v in areas.items()],
)

plot = axes("What one input alone can tell", "area under the ROC curve, no unit", "", wide=True)
for offset, (place, name) in zip((-0.25, 0, 0.25), enumerate(SCENARIOS.values()), strict=True):
    plot.barh(np.arange(len(FEATURES)) + offset, [areas[n][place] - 0.5 for n in FEATURES], 0.25, left=0.5, label=name)
plot.set_yticks(range(len(FEATURES)), FEATURES, fontsize=7)
plot.set_ylabel("input")
plot.legend(title="scenario")

of_amount = claim("area of the amount for scenario 1", areas[AMOUNT][0], low=0.99)
of_risk = claim(
    "area of the terminal's risk (7 days) for scenario 2", areas["TERMINAL_ID_RISK_7DAY_WINDOW"][1], 0.7, 0.95
)
of_card = claim("area of the amount for scenario 3", areas[AMOUNT][2], 0.7, 0.95)
time_only = claim("area of night and weekend, at best", max(max(areas[n]) for n in FEATURES[1:3]), high=0.6)

# %% [markdown]
# A stolen card spends five times its usual amounts, so the amount *beside the card's own average* says more than
# either alone. A model has to find that by itself; none of the 15 inputs is the ratio.

# %%
ratio = train.features[:, 0] / np.maximum(
    train.features[:, FEATURES.index("CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW")], 0.01
)
of_ratio = claim("area of amount / average of 30 days for scenario 3", area(ratio, 3), low=of_card + 0.01)

# %% [markdown]
# ## Nearly always zero
#
# A terminal's risk is zero unless one of its few transactions was fraud. Nine deciles of such an input are nine zeros:
# who bins by deciles alone puts everything into one bin. That is why a model's file holds the share of zeros as well.

# %%
risk = train.features[:, FEATURES.index("TERMINAL_ID_RISK_7DAY_WINDOW")]
zeros = claim("rows with no terminal risk in 7 days, %", 100 * (risk == 0).mean(), low=90)
deciles = claim("distinct deciles of it", len(np.unique(np.quantile(risk, np.arange(1, 10) / 10))), high=1)
plot = axes(
    "Terminal risk of 7 days, where it is not zero", "share of frauds among the terminal's transactions", "rows"
)
for label, name in ((0, "genuine"), (1, "fraud")):
    plot.hist(risk[(risk > 0) & (train.label == label)], np.linspace(0, 1, 21), alpha=0.6, label=name)
plot.legend()

# %% [markdown]
# ## If labels were not late
#
# The most common mistake: the windows of a terminal end *now*, the transaction's own label among them. On paper the
# inputs become wonderful; when served, the labels are not there yet.

# %%
leaked = split(with_leaked_risk(rows, file), Protocol(START)).train
place = FEATURES.index("TERMINAL_ID_RISK_1DAY_WINDOW")
honest = claim(
    "average precision of the risk of one day", average_precision_score(train.label, train.features[:, place]), high=0.4
)
cheating = claim(
    "the same with labels from the future", average_precision_score(leaked.label, leaked.features[:, place]), low=0.5
)

# %%
learned(f"""## What was learned

- Each fraud has its inputs: the amount for scenario 1 (area {of_amount:.3f}), the terminal's risk for scenario 2
  ({of_risk:.2f}), the amount for scenario 3 ({of_card:.2f}; beside the card's average {of_ratio:.2f}). Time of day
  and week tell next to nothing ({time_only:.2f}).
- {zeros:.0f} % of the rows have no terminal risk: deciles do not describe that input ({deciles:.0f} distinct one).
- With labels that nobody has yet, one input alone ranks at an average precision of {cheating:.2f} instead of
  {honest:.2f}. Too good is a finding.""")
