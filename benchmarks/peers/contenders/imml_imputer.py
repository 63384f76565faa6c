"""iMML's imputers on embeddings, then logistic regression.

MOFAImputer and DFMFImputer complete only the rows that they are fitted on, so test rows with holes are completed together with the
training rows (without labels). Embeddings are scaled to 0..1 for JNMFImputer, which needs it, and DFMFImputer, which is better with it
on validation; MOFAImputer is better without. JNMFImputer is, with `filling=True`.
"""

import argparse
from functools import partial

import numpy as np
import pandas as pd
import stopwatch
from imml.impute import DFMFImputer, JNMFImputer, MOFAImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("data", help="folder with embeddings.npz")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--imputer", choices=("mofa", "jnmf", "dfmf"), default="mofa")
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--components", type=int, default=10)
args = parser.parse_args()
make = {"mofa": MOFAImputer, "jnmf": partial(JNMFImputer, filling=True), "dfmf": DFMFImputer}[args.imputer]
scaler = FunctionTransformer if args.imputer == "mofa" else partial(MinMaxScaler, clip=True)

stopwatch.lap("read")
table = np.load(f"{args.data}/embeddings.npz")
modalities = ("image", "audio")
scalers = {m: scaler().fit(table[f"train_{m}"]) for m in modalities}
SPLITS = ("train", "val", "test", "test_half")
Xs = {s: [pd.DataFrame(scalers[m].transform(table[f"{s}_{m}"])) for m in modalities] for s in SPLITS}


def complete(*splits: str) -> np.ndarray:
    stacked = [pd.concat(parts, ignore_index=True) for parts in zip(*(Xs[s] for s in splits), strict=True)]
    filled = make(n_components=args.components, random_state=args.seed).fit_transform(stacked)
    return np.hstack([np.asarray(X) for X in filled])


stopwatch.lap("fit")
model = make_pipeline(StandardScaler(), LogisticRegression(C=args.C, max_iter=1000))
model.fit(complete("train"), table["train_labels"])

stopwatch.lap("predict")
found = {split: model.predict(np.hstack(Xs[split])) for split in ("val", "test")}
half = complete("train", "test_half")[len(Xs["train"][0]) :]
np.savez(args.out, **found, test_half=model.predict(half))
