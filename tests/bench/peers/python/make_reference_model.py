"""Fits the kind of model that the reference system serves: make_reference_model.py TRANSACTIONS.csv MODEL.pkl."""

import pickle
import sys
from pathlib import Path

import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from transaction import FEATURES

source, target = sys.argv[1:]
rows = pd.read_csv(source)
model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=5, random_state=0))
model.fit(rows[list(FEATURES)], rows["TX_FRAUD"])
Path(target).write_bytes(pickle.dumps(model))
