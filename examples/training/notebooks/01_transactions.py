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
# # 1. The transactions
#
# **What do the transactions look like, and where in them is the fraud?**
#
# Everything here is simulated, by the description of the *Fraud Detection Handbook*; `docs/science.md` holds the
# simulator's data against the published one. Each notebook reads the same file, and each cell that begins with `claim`
# ends the notebook when what is said is no longer so.

# %%
import numpy as np
import pyarrow.parquet as pq

from fraudops_training.dataset import read_transactions
from fraudops_training.handbook import STATISTICS
from fraudops_training.lab import axes, claim, data_file, learned, table
from fraudops_training.reproduce import RAMP_DAYS, statistics
from fraudops_training.schema import AMOUNT, CUSTOMER, DATETIME, LABEL, SCENARIO, TERMINAL

file = data_file()
columns = pq.read_table(file, columns=[DATETIME, CUSTOMER, TERMINAL, AMOUNT, LABEL, SCENARIO])
when = columns[DATETIME].to_numpy().astype("datetime64[s]")
customer, terminal, amount, fraud, scenario = (
    columns[name].to_numpy() for name in (CUSTOMER, TERMINAL, AMOUNT, LABEL, SCENARIO)
)
fraud = fraud == 1
day = (when.astype("datetime64[D]") - when[0].astype("datetime64[D]")).astype(int)
NAMES = {0: "genuine", 1: "amount above 220", 2: "compromised terminal", 3: "stolen card"}
table(
    ["", "rows", "share, %", "mean amount"],
    [
        [NAMES[code], int((scenario == code).sum()), 100 * (scenario == code).mean(), amount[scenario == code].mean()]
        for code in NAMES
    ],
)
rate = claim("fraud, % of the rows", 100 * fraud.mean(), 0.7, 0.95, noted=STATISTICS["fraud rate, %"])

# %% [markdown]
# ## How much, and when
#
# Customers have a mean amount of their own, from 5 to 100; nothing genuine is above 220. Noon is busier than midnight.

# %%
plot = axes("Amounts", "amount, euros", "share of the rows of this kind", wide=True)
bins = np.linspace(0, 500, 101)
for code, name in NAMES.items():
    values = amount[scenario == code]
    plot.hist(values, bins, weights=np.full(len(values), 1 / len(values)), histtype="step", label=name)
plot.set_yscale("log")
plot.legend()

plot = axes("When purchases are made", "hour of the day, UTC", "share of the rows")
plot.bar(range(24), np.bincount((when - when.astype("datetime64[D]")).astype(int) // 3600, minlength=24) / len(when))

claim("the largest genuine amount, euros", amount[~fraud].max(), high=220)
claim("the smallest amount of scenario 1, euros", amount[scenario == 1].min(), low=220)
claim(
    "scenario 3 costs so many times a genuine purchase", amount[scenario == 3].mean() / amount[~fraud].mean(), 3.5, 6.5
)

# %% [markdown]
# ## The first month is a ramp
#
# A terminal stays compromised for 28 days and a card stolen for 14, and on the first day there are none. The windows
# of the inputs are not full either: 30 days, and 7 more until a label is known. So nothing before day 37 is trained or
# tested on.

# %%
frauds_of_day = np.bincount(day[fraud], minlength=day.max() + 1)
plot = axes("Frauds of a day", f"days since {when[0].astype('datetime64[D]')}", "frauds a day", wide=True)
bottom = np.zeros(len(frauds_of_day))
for code in (1, 2, 3):
    counts = np.bincount(day[scenario == code], minlength=len(bottom))
    plot.bar(range(len(bottom)), counts, 1.0, bottom=bottom, label=NAMES[code])
    bottom += counts
plot.axvline(37, color="black", linewidth=1)
plot.legend(loc="upper left")
ramp = claim(
    "the first week's frauds for one after the ramp",
    frauds_of_day[:7].mean() / frauds_of_day[RAMP_DAYS:].mean(),
    0.1, 0.4,
    noted=STATISTICS["frauds of a day in the first week"] / STATISTICS["frauds of a day after day 30, mean"],
)  # fmt: skip

# %% [markdown]
# ## Frauds come in bursts
#
# Few terminals and few cards carry all of them. That makes fraud findable, and it makes every measure less certain than
# its number of rows suggests: hundreds of frauds in a week are about a hundred independent stories.

# %%
week = (day >= 58) & (day < 65)
stories = len(np.unique(terminal[week & (scenario == 2)])) + len(np.unique(customer[week & (scenario == 3)]))
in_them = int((week & (scenario > 1)).sum())
plot = axes(
    "How concentrated fraud is", "share of the terminals or cards, most fraudulent first", "share of the frauds"
)
for keys, code, name in ((terminal, 2, "terminals, scenario 2"), (customer, 3, "cards, scenario 3")):
    counts = np.sort(np.bincount(keys[scenario == code], minlength=keys.max() + 1))[::-1]
    plot.plot(np.arange(1, len(counts) + 1) / len(counts), np.cumsum(counts) / counts.sum(), label=name)
plot.set_xlim(0, 0.1)
plot.legend()
claim("terminals and cards with fraud in a week", stories, 50, 200)
per_story = claim("frauds of a week for each terminal or card that they are of", in_them / stories, 1.5, 8)
everyone = claim(
    "share of the cards that ever had a fraud", len(np.unique(customer[fraud])) / len(np.unique(customer)), 0.3, 1
)

# %% [markdown]
# ## Beside the published data
#
# Only what does not depend on how long the simulation is.

# %%
ours = statistics(read_transactions(file))
SAME = [
    "mean amount", "rows of a day, mean", "frauds of a day after day 30, mean",
    "compromised cards of a day after day 30",
    "genuine amount, 25 %", "genuine amount, median", "genuine amount, 75 %", "genuine amount, 99 %",
    "share at night, %", "share at the weekend, %", "customers with a transaction",
]  # fmt: skip
table(["quantity", "handbook", "here"], [[name, STATISTICS[name], ours[name]] for name in SAME])
worst = claim(
    "largest deviation from the handbook, %", max(100 * abs(ours[name] / STATISTICS[name] - 1) for name in SAME), high=8
)

# %%
learned(f"""## What was learned

- {rate:.2f} % of the rows are fraud, in three kinds that look different: an amount, a place, and a card that
  spends more than it used to. A model needs an input for each.
- The first week has {ramp:.2f} times the frauds of a later one: the first 37 days are left out.
- Frauds share a terminal or a card: {per_story:.1f} for each of these in a week. Intervals have to be drawn by
  card, not by row.
- No figure that can be compared is more than {worst:.1f} % away from the published data set.""")
