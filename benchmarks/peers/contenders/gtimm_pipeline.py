"""gtimm: one Pipeline from files; imputer zero, hot-deck, or generation with a number of images a class."""

import argparse

import numpy as np
import pandas as pd
import stopwatch

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.workspace import Workspace  # stopwatch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", help="folder with tables and files")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--store", required=True, help="folder of generated images and embeddings")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--imputer", default="zero", help="zero, hot-deck, or a number of generated images a class")
parser.add_argument("--lr", type=float, default=0.02)
args = parser.parse_args()
stopwatch.around(Workspace, "items", "generate")
stopwatch.around(Workspace, "_stored", "embed")

stopwatch.lap("read")
columns = {"image": "image", "audio": "audio"}
tables = {split: pd.read_csv(f"{args.data}/{split}.csv") for split in ("train", "val", "test", "test_half")}
data = {s: MultimodalDataset.from_frame(t, columns, "label" if "label" in t else None, root=args.data) for s, t in tables.items()}

stopwatch.lap("fit")
imputer = args.imputer
if imputer.isdigit():
    imputer = {"name": "stable-diffusion-tiny", "per_class": int(imputer), "seed": args.seed}
train = {"epochs": 60, "lr": args.lr}
pipe = Pipeline("imagebind-tiny", imputer, "late", train=train, seed=args.seed, store=args.store, device="cpu", generate=True)
pipe.fit(data["train"], val=data["val"])

stopwatch.lap("predict")
np.savez(args.out, **{split: pipe.predict(data[split]) for split in ("val", "test", "test_half")})
