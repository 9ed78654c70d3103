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
# # 4. Imbalance and thresholds
#
# **Fewer than one row in a hundred is fraud. What does that do to training, and where should the thresholds be?**

# %%
import numpy as np

from fraudops_training import model
from fraudops_training.lab import axes, claim, learned, table, transactions
from fraudops_training.measures import measure
from fraudops_training.reproduce import START
from fraudops_training.schema import AMOUNT, FEATURES
from fraudops_training.split import Protocol, split
from fraudops_training.thresholds import Cost, by_cost, by_rate

parts = split(transactions(), Protocol(START))
train, delay, test = parts.train, parts.delay, parts.test
AS_GIVEN = {"review": 0.1, "block": 0.5}
XGB = {"trees": 100, "depth": 3, "learning_rate": 0.1}

# %% [markdown]
# ## Accuracy says nothing
#
# Who calls everything genuine is nearly always right, and finds no fraud.

# %%
lazy = claim("accuracy of never saying fraud, %", 100 * (test.label == 0).mean(), low=99)

# %% [markdown]
# ## Weights do not help the ranking
#
# Common advice is to weigh frauds up, or to throw genuine rows away, until both classes are equally many. Here is the
# same model with each fraud counted 1, 10 and 100 times, and on a tenth of the genuine rows.

# %%
fitted = {f"weight {w}": model.fit(train, "xgboost", XGB | {"positive_weight": w}) for w in (1, 10, 100)}
kept = (train.label == 1) | (np.random.default_rng(0).random(len(train)) < 0.1)
fitted["a tenth of the genuine"] = model.fit(train.at(kept), "xgboost", XGB | {"positive_weight": 1})
scores = {name: model.probability(made, test.features) for name, made in fitted.items()}
measured = {name: measure(test, score, AS_GIVEN) for name, score in scores.items()}
blocks = {name: m["decisions"]["block"] for name, m in measured.items()}
table(
    ["trained with", "AP", "AUC", "frauds expected for one observed", "blocked at 0.5, % of the rows", "precision"],
    [
        [name, m["ap"], m["auc"], m["calibration"]["ratio"], 100 * blocks[name]["alertRate"], blocks[name]["precision"]]
        for name, m in measured.items()
    ],
)
plain, heavy, tenth = measured["weight 1"], measured["weight 100"], measured["a tenth of the genuine"]
gain = claim("AP that a weight of 100 wins", heavy["ap"] - plain["ap"], -0.1, 0.02)
claim("AP that a tenth of the genuine wins", tenth["ap"] - plain["ap"], high=0.02)
sound = claim(
    "frauds expected for one observed, weight 1", plain["calibration"]["ratio"], 0.7, 1.4, noted="0.93 to 1.01"
)
inflated = claim("frauds expected for one observed, weight 100", heavy["calibration"]["ratio"], low=5, noted=19)
more = claim(
    "blocks with weight 100 for one without",
    heavy["decisions"]["block"]["alertRate"] / plain["decisions"]["block"]["alertRate"],
    low=2,
    noted=3.6,
)

# %% [markdown]
# A rollout sees such a model as a flood of new alerts, though its ranking is nearly as good: thresholds stayed, scores
# did not. Weights multiply the odds, so dividing the odds again brings the scores most of the way back.

# %%
odds = scores["weight 100"] / (1 - scores["weight 100"]) / 100
restored = odds / (1 + odds)
back = claim("frauds expected for one observed, odds divided by 100", restored.sum() / test.label.sum(), 0.4, 1.6)
plot = axes("Calibration", "mean score of the bin, no unit", "share of fraud in it, no unit")
plot.plot([1e-3, 1], [1e-3, 1], color="grey", linewidth=1)
for name in ("weight 1", "weight 100"):
    bins = [b for b in measured[name]["calibration"]["bins"] if b["observed"] > 0]
    plot.plot([b["mean"] for b in bins], [b["observed"] for b in bins], "o-", label=name)
plot.set(xscale="log", yscale="log")
plot.legend()

# %% [markdown]
# ## Thresholds for a wanted number of alerts
#
# People can look at so many alerts a day. The scores of the delay week are enough to choose by: no label is needed.

# %%
wanted = {"review": 0.006, "block": 0.004}
score, of_delay = scores["weight 1"], model.probability(fitted["weight 1"], delay.features)
limits = by_rate(of_delay, wanted["review"], wanted["block"])
got = measure(test, score, limits)["decisions"]
table(
    ["", "threshold", "wanted, % of the rows", "got in the test week, %", "precision", "recall"],
    [[n, limits[n], 100 * wanted[n], 100 * got[n]["alertRate"], got[n]["precision"], got[n]["recall"]] for n in wanted],
)
kept_rate = claim("reviews that came for one that was wanted", got["review"]["alertRate"] / wanted["review"], 0.4, 1.3)

# %% [markdown]
# Fewer come than were wanted, because the cards whose fraud got known meanwhile are blocked already and not in the
# test week. `fraudops-training pipeline` leaves them out when it chooses.
#
# ## Thresholds of least cost
#
# An approved fraud costs its amount, a review 2 euros, and a genuine purchase that is blocked 20.

# %%
cost = Cost(review=2.0, false_block=20.0)
amount = test.features[:, FEATURES.index(AMOUNT)].astype(float)
fraud = test.label == 1


def euros(review, block):
    """What the decisions of the test week cost, for each 1,000 transactions."""
    reviewed, blocked = (score >= review) & (score < block), score >= block
    missed = amount[fraud & (score < review)].sum()
    return 1000 * (missed + cost.review * reviewed.sum() + cost.false_block * (blocked & ~fraud).sum()) / len(score)


cheapest, each = by_cost(test, score, cost)
grid = np.geomspace(0.002, 0.95, 60)
plot = axes(
    "What decisions cost", "threshold of review (block at the best place)", "euros for 1,000 transactions", wide=True
)
plot.semilogx(grid, [euros(limit, max(limit, cheapest["block"])) for limit in grid])
plot.axvline(cheapest["review"], color="black", linewidth=1)
at_best, as_given, never = euros(**cheapest), euros(**AS_GIVEN), euros(2, 2)
claim("the cost that by_cost says, for the one that is counted", 1000 * each / at_best, 0.999, 1.001)
claim("least cost for that of 0.1 and 0.5", at_best / as_given, 0.5, 1.0)
saved = claim("least cost for that of approving everything", at_best / never, 0.05, 0.7)

# %%
learned(f"""## What was learned

- Never saying fraud is right {lazy:.1f} % of the time. Accuracy is no measure here.
- A weight of 100 changes AP by {gain:+.3f} and makes {more:.1f} times as many blocks; it expects {inflated:.0f}
  frauds for one, {back:.2f} when the odds are divided again. Without weights it is {sound:.2f}: leave the classes
  as they are.
- Thresholds belong to people's time or to money, not to 0.5: {limits["review"]:.3g} gives the wanted reviews
  ({kept_rate:.2f} of them came), {cheapest["review"]:.3g} and {cheapest["block"]:.3g} cost {saved:.0%} of
  approving everything.""")
