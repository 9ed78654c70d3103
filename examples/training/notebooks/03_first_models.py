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
# # 3. First models
#
# **How good are six kinds of model on the same week, and how sure is that?**
#
# A week of training, a week in which labels are not known yet, a week of test without the cards whose fraud was known
# by then: the handbook's baseline.

# %%
import time

import numpy as np
from sklearn.metrics import precision_recall_curve

from fraudops_training import handbook, model
from fraudops_training.lab import axes, claim, learned, table, transactions
from fraudops_training.metrics import ap_interval, evaluate, recall_by_scenario
from fraudops_training.reproduce import START
from fraudops_training.split import Protocol, split

parts = split(transactions(), Protocol(START))
test = parts.test
for name, part in (("training", parts.train), ("test", test)):
    print(f"{name}: {len(part):,} rows, {part.label.sum()} frauds")

# %% [markdown]
# The forest has 10 trees here and not 100, to save time; `docs/science.md` has it and more data sets.

# %%
SETTINGS = {row.title: (row.algorithm, row.settings, row.published) for row in handbook.BASELINE}
chosen = {
    title: SETTINGS[title]
    for title in (
        "decision tree, depth 2", "decision tree, unlimited", "logistic regression",
        "neural network (here: MLP, 64 units)", "XGBoost 100 x 3 (ours)", "LightGBM 100 x 7 (ours)",
    )
}  # fmt: skip
chosen["random forest, 10 trees"] = ("random-forest", {"trees": 10, "depth": 10}, None)
scores, seconds = {"chance": np.random.default_rng(0).random(len(test))}, {"chance": 0.0}
fitted = {}
for title, (kind, settings, _) in chosen.items():
    began = time.perf_counter()
    fitted[title] = model.fit(parts.train, kind, settings)
    seconds[title] = time.perf_counter() - began
    scores[title] = model.probability(fitted[title], test.features)
results = {title: evaluate(test, score) for title, score in scores.items()}
table(
    ["model", "AUC", "AP", "CP@100", "handbook: AUC / AP / CP@100", "fitted in, s"],
    [
        [
            title, r.auc, r.ap, r.card_precision,
            " / ".join(map(str, chosen.get(title, (0, 0, None))[2] or "-")), seconds[title],
        ]
        for title, r in sorted(results.items(), key=lambda entry: entry[1].ap)
    ],
)  # fmt: skip

# %% [markdown]
# AUC is the area under the ROC curve, AP the average precision, CP@100 the share of compromised cards among the 100
# highest of a day. A day has fewer than 100 compromised cards, so a perfect ranking does not reach 1.

# %%
ap = {title: result.ap for title, result in results.items()}
ours, small_tree, large_tree = "XGBoost 100 x 3 (ours)", "decision tree, depth 2", "decision tree, unlimited"
ceiling = claim("CP@100 of a perfect ranking", results[ours].ceiling, 0.3, 0.5, noted=0.397)
# What two standard deviations between data sets allow; one in twenty lies outside, so a little more is allowed here.
for title in (small_tree, "logistic regression"):
    low, high = handbook.BOUNDS[title]
    claim(f"AP of {title}", ap[title], low - 0.05, high + 0.05, noted=chosen[title][2][1])
best = claim("AP of XGBoost 100 x 3", ap[ours], 0.58, 0.78, noted=0.683)
claim("AP of chance", ap["chance"], high=0.02)
claim("XGBoost 100 x 3 beyond logistic regression, AP", best - ap["logistic regression"], low=0.01, noted=0.683 - 0.605)
claim("XGBoost 100 x 3 beyond the tree of depth 2, AP", best - ap[small_tree], low=0.05, noted=0.683 - 0.496)

# %% [markdown]
# ## AUC is not enough
#
# A tree that may grow until its leaves are pure knows the training week by heart. Its AUC is as good as that of the
# small tree, and its average precision lower: among the alerts, where people look, it cannot rank.

# %%
by_heart = evaluate(parts.train, model.probability(fitted[large_tree], parts.train.features)).ap
claim("AP of the unlimited tree on its own training week", by_heart, low=0.99, noted=1.0)
claim(
    "AUC that the unlimited tree wins over depth 2",
    results[large_tree].auc - results[small_tree].auc,
    low=-0.02,
    noted=0.788 - 0.763,
)
lost = claim("AP that it loses", ap[small_tree] - ap[large_tree], low=0.03, noted=0.496 - 0.309)

plot = axes(
    "Precision and recall in the test week", "recall, share of the frauds", "precision, share of the alerts", wide=True
)
for title in (small_tree, large_tree, "logistic regression", ours):
    precision, recall, _ = precision_recall_curve(test.label, scores[title])
    plot.step(recall, precision, where="post", label=f"{title}: {ap[title]:.2f}")
plot.legend(title="average precision")

# %% [markdown]
# ## What is found, and what is missed

# %%
recalls = {title: recall_by_scenario(test, scores[title], 0.5) for title in (small_tree, "logistic regression", ours)}
table(
    ["recall at a score of 0.5", "amount", "terminal", "card"],
    [[title, *found.values()] for title, found in recalls.items()],
)
plot = axes("Recall at a score of 0.5", "scenario", "recall, share of the frauds")
for offset, (title, found) in zip((-0.25, 0, 0.25), recalls.items(), strict=True):
    plot.bar(np.arange(3) + offset, list(found.values()), 0.25, label=title)
plot.set_xticks(range(3), ["amount", "terminal", "card"])
plot.legend()
claim("recall of large amounts by XGBoost", recalls[ours][1], low=0.95)
linear = claim("recall of large amounts by logistic regression", recalls["logistic regression"][1], high=0.5)
terminals = claim("XGBoost's recall of compromised terminals", recalls[ours][2], 0.3, 0.75)
claim("its recall of stolen cards", recalls[ours][3], 0.3, 0.85)

# %% [markdown]
# ## How sure
#
# Drawing the cards again, with all that each of them did, says how far the average precision of one week may lie from
# that of another. Two models on the *same* week are much closer to each other than that.

# %%
low, high = ap_interval(test, scores[ours])
print(f"AP of {ours}: {ap[ours]:.3f}, 95 % of the draws from {low:.3f} to {high:.3f}")
width = claim("width of that interval", high - low, 0.04, 0.25)

# %%
learned(f"""## What was learned

- XGBoost with 100 trees of depth 3 ranks best or nearly so: AP {ap[ours]:.3f}, logistic regression
  {ap["logistic regression"]:.3f}, a tree with two questions {ap[small_tree]:.3f}. CP@100 is
  {results[ours].card_precision:.3f} of {ceiling:.3f} that can be had.
- AUC hides what matters here: the unlimited tree loses {lost:.2f} of AP and nothing of AUC.
- No model finds more than half or so of what happens at compromised terminals ({terminals:.0%}): for a week nobody
  knows that they are. A line through 15 inputs misses large amounts as well ({linear:.0%} found), which trees do
  not.
- One week says AP to within {width:.2f}. Differences between models are only worth something on the same rows.""")
