"""iMML's classifiers for missing modalities, MUSE and M3Care, from embeddings or from pixels and spectrograms.

As in iMML's tutorial: modalities are "tabular", standardised, trained by Lightning's Trainer; its defaults but learning rate and
epochs. Sound is a log spectrogram of 32 bands and 32 frames (about half a second).
"""

import argparse
import logging
import warnings

import lightning
import numpy as np
import pandas as pd
import stopwatch
import torch
from imml.classify import MUSE, M3Care
from imml.load import M3CareDataset, MUSEDataset
from PIL import Image
from scipy.io import wavfile
from scipy.signal import spectrogram
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("data", help="folder with embeddings.npz, tables and files")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--method", choices=("muse", "m3care"), default="muse")
parser.add_argument("--raw", action="store_true", help="from pixels and spectrograms instead of embeddings")
parser.add_argument("--pictures", action="store_true", help="with --raw: images as files, for M3Care's own ResNet-18")
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--epochs", type=int, default=60)
args = parser.parse_args()
warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
lightning.seed_everything(args.seed, verbose=False)
SPLITS, SIZES = ("train", "val", "test", "test_half"), {"image": 28 * 28, "audio": 32 * 32}


def features(modality: str, path: object) -> np.ndarray:
    if not isinstance(path, str):
        return np.full(SIZES[modality], np.nan)
    if modality == "image":
        return np.asarray(Image.open(f"{args.data}/{path}").convert("L"), float).ravel()
    rate, wave = wavfile.read(f"{args.data}/{path}")
    power = spectrogram(wave.astype(float), rate, nperseg=256, noverlap=128)[2][:128, :32]
    bands = power.reshape(32, 4, -1).mean(1)
    return np.log(np.pad(bands, ((0, 0), (0, 32 - bands.shape[1]))) + 1e-6).ravel()


stopwatch.lap("read")
table = np.load(f"{args.data}/embeddings.npz")
y = table["train_labels"]
if args.raw:
    rows = {split: pd.read_csv(f"{args.data}/{split}.csv") for split in SPLITS}
    Xs = {s: [pd.DataFrame([features(m, p) for p in rows[s][m]]) for m in SIZES] for s in SPLITS}
else:
    Xs = {s: [pd.DataFrame(table[f"{s}_{m}"]) for m in SIZES] for s in SPLITS}
kinds = ["image" if args.pictures else "tabular", "tabular"]
for which in range(len(SIZES)):
    if kinds[which] == "image":
        for split in SPLITS:
            Xs[split][which] = (f"{args.data}/" + rows[split]["image"]).to_frame()  # no path where it is missing
        continue
    scaler = StandardScaler().set_output(transform="pandas").fit(Xs["train"][which])
    for split in SPLITS:
        Xs[split][which] = scaler.transform(Xs[split][which]).astype(np.float32)

stopwatch.lap("fit")
Model, Rows = {"muse": (MUSE, MUSEDataset), "m3care": (M3Care, M3CareDataset)}[args.method]


def rows_of(split: str, labels: np.ndarray) -> object:
    found = Rows(Xs[split], pd.Series(labels))
    if args.method == "muse":  # its batch normalisation makes a whole batch NaN where one row is; what is missing is noted by now
        found.Xs = [torch.nan_to_num(X) for X in found.Xs]
    return found


more = {"vocab": []} if args.method == "m3care" else {}  # M3Care asks to download one of text without it
sizes = [X.shape[1] for X, kind in zip(Xs["train"], kinds, strict=True) if kind == "tabular"]
model = Model(modalities=kinds, input_dim=sizes, output_dim=10, learning_rate=args.lr, **more)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=args.epochs, accelerator="cpu", **quiet)
trainer.fit(model, DataLoader(rows_of("train", y), batch_size=128, shuffle=True))

stopwatch.lap("predict")
found = {}
for split in SPLITS[1:]:
    unknown = np.zeros(len(Xs[split][0]), np.int64)  # its data sets want labels, also to predict
    batches = trainer.predict(model, DataLoader(rows_of(split, unknown), batch_size=128))
    found[split] = torch.cat(batches).argmax(1).numpy()
np.savez(args.out, **found)
