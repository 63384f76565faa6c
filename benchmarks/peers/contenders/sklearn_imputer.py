"""scikit-learn as many would do it: an imputer on concatenated embeddings, then logistic regression."""

import argparse

import numpy as np
import stopwatch
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", help="folder with embeddings.npz")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--imputer", choices=("simple", "knn"), default="simple")
parser.add_argument("--C", type=float, default=1.0)
args = parser.parse_args()

stopwatch.lap("read")
table = np.load(f"{args.data}/embeddings.npz")
splits = ("train", "val", "test", "test_half")
X = {split: np.hstack([table[f"{split}_image"], table[f"{split}_audio"]]) for split in splits}

stopwatch.lap("fit")
imputer = SimpleImputer() if args.imputer == "simple" else KNNImputer()
model = make_pipeline(imputer, StandardScaler(), LogisticRegression(C=args.C, max_iter=1000))
model.fit(X["train"], table["train_labels"])

stopwatch.lap("predict")
np.savez(args.out, **{split: model.predict(X[split]) for split in splits[1:]})
