"""The Pipeline: backbone, imputers and fusion as one classifier for data with holes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from gtimm.core.asking import asking
from gtimm.core.by_modality import ByModality
from gtimm.core.checks import (
    check_form,
    check_holes,
    check_imputers,
    check_strategies,
    check_training,
    chosen,
    hides,
    warn_of_absent,
    warn_of_nothing,
)
from gtimm.core.dataset import Column, MultimodalDataset
from gtimm.core.errors import DataError, GtimmError, did_you_mean
from gtimm.core.licences import check_commercial
from gtimm.core.missing import Missing
from gtimm.core.options import EmbedOptions, PipelineOptions, TrainOptions, refuse_unknown
from gtimm.core.record import Facts, Record
from gtimm.core.registry import registry
from gtimm.core.training.search import need_validation
from gtimm.core.workspace import open_workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gtimm.core.backbone import Backbone
    from gtimm.core.balance import Balance
    from gtimm.core.engine import Engine
    from gtimm.core.filling import Filler
    from gtimm.core.fusion import Fusion, Head
    from gtimm.core.imputer import Imputer, State
    from gtimm.core.plugin import Depth
    from gtimm.core.predicting import Predictions, Predictor
    from gtimm.core.targets import Labels
    from gtimm.core.training import Run
    from gtimm.core.workspace import Workspace

Spec = Any
"""A name, `{"name": ..., **options}`, an instance; for backbones and imputers also a dict of these by modality."""


class Pipeline:
    """A classifier of multi-modal data with holes.

    Args:
        backbone: what embeds; by modality too.
        imputer: what fills the gaps of the training rows; by modality too. `None` leaves them absent, which the fusion must accept.
        fusion: how embeddings become a prediction.
        eval_imputer: what fills gaps at validation and test; it may not need labels. By modality, one that is not named is left absent,
            which the fusion must accept. Beside a fusion of `last_block` features a `"zero"` without a level, the default of both
            imputers, is that of the payload.
        modalities: use only these; by default all of the data. A model of one modality is a baseline.
        rows: `"complete"` trains only on rows that have all the modalities used (low-resource training).
        unseen: modalities whose training payloads are taken as missing in every row: what fills them stands alone (zero-shot).
        balance: how no modality outruns the others in training, such as `"ogm-ge"`; by default they are left to it.
        train: `TrainOptions`, or its fields. Of several values, `{"lr": [1e-4, 2e-4, 5e-4]}`, the best on `val` is `chosen`.
        seed: of masks, draws, order and initial weights.
        store: folder of bank and features; by default `GTIMM_HOME`, else the user's cache folder.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run: `"local"`, `"ray"`, or with options, `{"name": "ray", "workers": 4}`.
        embed: `EmbedOptions`, or its fields: how payloads are embedded and stored.
        draws: candidates of each hole to average predictions over; their spread is the uncertainty that `predict_frame` gives.
        calibrate: fit a temperature on `val`, by which logits are divided. `val` should have holes like the rows to come.
        generate: `True`, `False`, or `"ask"`: long generation (above an hour) is never started in silence.
        commercial: refuse strategies whose code or weights are not licensed for commercial use, or whose licence nobody states.

    Raises:
        ConfigError: an unknown strategy or option.
        LicenceError: `commercial`, and a licence that does not allow it.
        LabelLeakError: `eval_imputer` needs labels.
        IncompatibleError: strategies that cannot work together.

    Example:
        >>> pipe = Pipeline(backbone="imagebind-tiny", imputer="hot-deck", fusion="late")
        >>> pipe.config()["imputer"]
        {'name': 'hot-deck'}
    """

    def __init__(
        self,
        backbone: Spec = "imagebind",
        imputer: Spec = "zero",
        fusion: Spec = "late",
        eval_imputer: Spec = "zero",
        *,
        modalities: Sequence[str] | None = None,
        rows: Literal["all", "complete"] = "all",
        unseen: Sequence[str] = (),
        balance: Spec = None,
        train: TrainOptions | Mapping[str, Any] | None = None,
        seed: int = 0,
        store: str | PathLike[str] | None = None,
        device: str = "auto",
        engine: Spec = "local",
        embed: EmbedOptions | Mapping[str, Any] | None = None,
        draws: int = 1,
        calibrate: bool = False,
        generate: bool | Literal["ask"] = "ask",
        commercial: bool = False,
    ) -> None:
        options = PipelineOptions(
            modalities=modalities,
            rows=rows,
            unseen=unseen,
            draws=draws,
            calibrate=calibrate,
            commercial=commercial,
            train=train,
            embed=embed,
            seed=seed,
            store=store,
            device=device,
            generate=generate,
        )
        self.modalities, self.rows, self.unseen = options.modalities, options.rows, options.unseen
        self.draws, self.calibrate, self.commercial = options.draws, options.calibrate, options.commercial
        self.train_options, self.embed_options = options.train, options.embed
        self.seed, self.store, self.device, self.generate = options.seed, options.store, options.device, options.generate
        self.backbones: ByModality[Backbone] = ByModality("backbones", backbone)
        self.imputers: ByModality[Imputer] = ByModality("imputers", imputer)
        self.eval_imputers: ByModality[Imputer] = ByModality("imputers", eval_imputer)
        self.fusion: Fusion = registry("fusion").create(fusion)
        self.balance: Balance | None = None if balance is None else registry("balance").create(balance)
        for found in (self.imputers, self.eval_imputers):
            found.change(lambda one: one.for_depth(self.depth))
        self.engine: Engine = registry("engines").create(engine)
        self.counters = {"generated": 0, "embedded": 0}
        self.classes: tuple[str, ...] = ()
        self.columns: dict[str, Any] = {}
        self.kinds: dict[str, str] = {}
        self.history: list[float] = []
        self.chosen: dict[str, float] = {}
        self.unfilled: dict[str, int] = {}
        self.taken: set[Path] = set()
        self.record = Record()
        self.multilabel = False
        self.temperature = 1.0
        self.prior: NDArray[np.float32] = np.zeros(0, np.float32)
        self._head: Head | None = None
        self._states: dict[str, State] = {}
        check_strategies(self)
        if commercial:
            check_commercial(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **options: Any) -> Pipeline:
        """Make a pipeline from its plain form, as in a configuration file; `options` win over it.

        Raises:
            ConfigError: an unknown field.
        """
        refuse_unknown(config, inspect.signature(cls).parameters, "Pipeline")
        return cls(**{**config, **options})

    def fit(
        self, train: MultimodalDataset, val: MultimodalDataset | None = None, missing: Missing | Mapping[str, float] | None = None
    ) -> Pipeline:
        """Train on data with holes.

        Args:
            train: labelled rows.
            val: chooses the epoch; used as given, its holes filled by `eval_imputer`. Without it the last epoch is kept.
            missing: simulated missingness of the training rows.

        Returns:
            The pipeline itself.
        """
        from gtimm.core import training

        run = self.prepare(train, val, missing)
        training.train([run])
        return self.adopt(run)

    def prepare(
        self, train: MultimodalDataset, val: MultimodalDataset | None = None, missing: Missing | Mapping[str, float] | None = None
    ) -> Run:
        """Do everything of `fit` up to the training itself: masks, generation, embedding. `adopt` takes the trained run back."""
        from gtimm.core.predicting import frequencies
        from gtimm.core.training import Run

        data = self.check(train, val, missing)
        self.prior = frequencies(cast("Labels", data.labels), len(self.classes))
        modalities = tuple(self.kinds)
        filler = self.filler()
        before = dict(filler.workspace.counters)
        imputers = {m: self.imputers.get(m) for m in modalities}
        judges = {m: self.eval_imputers.get(m) for m in modalities}
        with self.engine.kept():
            states = {m: filler.fit(i, data, m) for m, i in imputers.items() if i is not None and not data.present(m).all()}
            self._states = {m: filler.fit(i, data, m) for m, i in judges.items() if i is not None}
            hidden = (
                {m: filler.constant(i, self._states.get(m, {}), data, m) for m, i in judges.items()} if hides(self.fusion) else {}
            )
            split = filler.split(data, imputers, states, "train", hidden)
            judged = None if val is None else filler.split(val, judges, self._states, "eval")
        self.unfilled, self.taken = filler.unfilled, filler.taken
        self.record = Record.of(self, data, val)
        self._count(before)
        options = self.train_options.model_copy(update={"epochs": self.train_options.epochs_for(self.kinds.values())})
        return Run(self.fusion, len(self.classes), split, judged, options, self.seed, filler.encoders(self.kinds), self.balance)

    def check(
        self, train: MultimodalDataset, val: MultimodalDataset | None = None, missing: Missing | Mapping[str, float] | None = None
    ) -> MultimodalDataset:
        """Raise what `fit` would refuse, before anything is generated, embedded or written; return the rows to train on, sealed."""
        if train.labels is None or (val is not None and val.labels is None):
            raise DataError(f"{'Training' if train.labels is None else 'Validation'} data needs labels.")
        if self.calibrate and val is None:
            raise DataError("calibrate=True fits the temperature on validation data; give val=, or leave calibrate out.")
        need_validation(self.train_options, there=val is not None)
        data = train.with_missing(missing, self.seed) if missing is not None else train
        if self.unseen:
            told, hidden = data.missing, Missing(dict.fromkeys(self.unseen, 1.0), allow_empty=True)
            data = data.with_missing(hidden, self.seed)
            data.missing = told or hidden  # the mechanism that the record names
        self._head, self.record = None, Record()  # of other data, should this fail half-way
        self.classes, self.columns, self.multilabel = data.classes, data.columns, data.multilabel
        modalities = chosen(self, data)
        self.kinds = {m: data.kind(m) for m in modalities}
        if val is not None:
            self.check_evaluation(val)
        if self.rows == "complete":
            complete = np.logical_and.reduce([data.present(m) for m in modalities])
            if not complete.any():
                raise DataError(
                    f"No training row has all of {', '.join(modalities)}; rows='complete' leaves nothing to train on."
                )
            data = data.subset(complete)
        warn_of_absent(data, modalities if self.rows == "complete" else ())
        if not self.unseen:
            warn_of_nothing(data, modalities)
        with asking(self.fusion, "in check"):
            self.fusion.check(modalities)
        self.workspace  # noqa: B018 - refuses a device that is not there
        check_holes(self, data, self.imputers)
        check_imputers(self, data)
        check_training(self)
        return data

    def check_evaluation(self, data: MultimodalDataset) -> None:
        """Raise what `evaluate` would refuse of a data set, before anything is embedded."""
        check_form(self, data)
        check_holes(self, data, self.eval_imputers)

    def adopt(self, run: Run) -> Pipeline:
        """Take the head of a trained run; with `calibrate` its temperature is fitted here."""
        self._head, self.history, self.temperature, self.chosen = run.head, run.history or [], 1.0, dict(run.chosen)
        if self.calibrate and run.val is not None:
            self.temperature = self.predictor().calibrated(run.val)
        return self

    def evaluate(self, data: MultimodalDataset, missing: Missing | Mapping[str, float] | None = None) -> dict[str, float]:
        """Return scores on labelled data, as fractions: `accuracy`, `macro_f1`, `top3_accuracy` and `ece`, the calibration error.

        Of multi-label data they are `samples_f1`, `micro_f1`, `macro_f1`, `auroc` and `ece`.

        Args:
            data: labelled rows with the classes of training.
            missing: simulated missingness of these rows; filled by `eval_imputer`.
        """
        from gtimm.core.calibration import ece
        from gtimm.core.metrics import scores

        if data.labels is None:
            raise DataError("evaluate needs labels; use predict for data without.")
        sealed = data.with_missing(missing, self.seed) if missing is not None else data
        probabilities, labels = self.predict_proba(sealed), cast("Labels", sealed.labels)
        found = {**scores(probabilities, labels), "ece": ece(probabilities, labels)}
        self.record = self.record.with_scores(replace(Facts.of(sealed, self.kinds), scores=found))
        return found

    def predict_proba(self, data: MultimodalDataset | DataFrame, root: str | PathLike[str] | None = None) -> NDArray[np.float32]:
        """Return (rows, classes) probabilities in the order of `classes`; of multi-label data each class has its own.

        Rows without any modality get the frequencies of the classes in training. Any number of rows: their features pass
        through memory some thousands at a time.

        Args:
            data: a data set, or a DataFrame with the columns of training (the label is not needed).
            root: folder of the DataFrame's paths.
        """
        return self._predictions(self._given(data, root)).probabilities

    def predict(self, data: MultimodalDataset | DataFrame, root: str | PathLike[str] | None = None) -> NDArray[Any]:
        """Return (rows,) the most probable class names; arguments as for `predict_proba`.

        Of multi-label data an element is a tuple of the names of the classes with a probability of at least 0.5.
        """
        from gtimm.core.predicting import named

        return named(self.predict_proba(data, root), self.classes, self.multilabel)

    def predict_frame(
        self,
        data: MultimodalDataset | DataFrame,
        root: str | PathLike[str] | None = None,
        *,
        unreadable: Literal["error", "missing"] = "error",
    ) -> DataFrame:
        """Return a DataFrame of what is known of each row.

        Args:
            data: as for `predict_proba`.
            root: as for `predict_proba`.
            unreadable: of a DataFrame, `"missing"` takes files that are absent or damaged as missing, instead of refusing all rows.

        Returns:
            `prediction` as in `predict`; `probability` of it (of multi-label data a tuple, of each class in it); `uncertainty`, by how
            much the predictions differ between `draws` fills, in nats: 0 where they agree, NaN with `draws=1`; and `empty`, True for
            rows without any modality, whose prediction is the most frequent class. With `unreadable="missing"` also `unreadable`: why a
            payload of the row cannot be read, empty where all can. The index is that of a DataFrame given.
        """
        from gtimm.core.predicting import table

        found = self._given(data, root, unreadable)
        index = None if isinstance(data, MultimodalDataset) else data.index
        result = table(self._predictions(found), self.classes, self.multilabel, index)
        if unreadable == "missing":
            why = {row: reason for rows in reversed(found.unreadable.values()) for row, reason in rows.items()}
            result["unreadable"] = [why.get(row, "") for row in range(len(found))]
        return result

    def predictor(self) -> Predictor:
        """Return what turns features into predictions; raises `GtimmError` before `fit`."""
        from gtimm.core.predicting import Predictor

        if self._head is None:
            raise GtimmError("This pipeline is not trained. Call fit, or load one with Pipeline.load.")
        return Predictor(self._head, self.prior, self.draws, self.temperature, self.multilabel)

    def _predictions(self, data: MultimodalDataset) -> Predictions:
        from gtimm.core.predicting import predictions

        check_form(self, data)
        before = dict(self.workspace.counters)
        result = predictions(self, data)
        self._count(before)
        return result

    def save(self, folder: str | PathLike[str]) -> None:
        """Save weights (safetensors), configuration (JSON) and model card (Markdown) to a folder; prediction needs no training data."""
        from gtimm.core.saving import save_pipeline

        save_pipeline(self, folder)

    def model_card(self) -> str:
        """Return what the model is, as Markdown: data, missingness, synthetic share, scores, licences. `save` writes it too.

        Scores are those of the calls of `evaluate`, so evaluate before you save.
        """
        from gtimm.core.model_card import model_card

        return model_card(self)

    @classmethod
    def load(cls, folder: str | PathLike[str], **options: Any) -> Pipeline:
        """Load a saved pipeline; `options` are `store`, `device`, `engine`, `generate` and `draws`."""
        from gtimm.core.saving import load_pipeline

        return load_pipeline(folder, options)

    def config(self) -> dict[str, Any]:
        """Return the plain form: what `Pipeline(**config)` takes, and the `pipeline` part of a configuration file."""
        config: dict[str, Any] = {
            "backbone": self.backbones.spec(),
            "imputer": self.imputers.spec(),
            "fusion": registry("fusion").spec(self.fusion),
            "eval_imputer": self.eval_imputers.spec(),
        }
        if self.balance is not None:
            config["balance"] = registry("balance").spec(self.balance)
        now = {**vars(self), "train": self.train_options, "embed": self.embed_options}
        return config | PipelineOptions(**{name: now[name] for name in PipelineOptions.model_fields}).plain()

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(f'{k}={v!r}' for k, v in self.config().items())}, seed={self.seed})"

    @property
    def depth(self) -> Depth:
        """Depth of the features that the fusion needs."""
        return self.fusion.capabilities().depths[0]

    @property
    def workspace(self) -> Workspace:
        """The store folder in use: bank, feature stores, counters."""
        return open_workspace(self.store, self.device, self.embed_options, self.engine)

    def filler(self) -> Filler:
        """Return what makes splits of data for this pipeline."""
        from gtimm.core.filling import Filler

        backbones = {m: self.backbones.require(m) for m in self.kinds}
        return Filler(
            self.workspace, backbones, self.depth, self.engine, self.generate, self.fusion.capabilities().accepts_absent
        )

    def _given(
        self,
        data: MultimodalDataset | DataFrame,
        root: str | PathLike[str] | None,
        unreadable: Literal["error", "missing"] = "error",
    ) -> MultimodalDataset:
        """Return the rows to predict, of a DataFrame by the columns of training."""
        if self._head is None:
            self.predictor()
        if isinstance(data, MultimodalDataset):
            return data
        if not hasattr(data, "columns"):
            raise DataError(
                f"Rows to predict are a MultimodalDataset or a pandas DataFrame; found {type(data).__name__}. Make one by "
                "pandas.DataFrame(rows) of a list of mappings, by pandas.read_csv(path, dtype=str) of a file."
            )
        known = self.columns.get("modalities", {})
        columns = {m: Column(known[m]["column"] if m in known else m, cast("Any", kind)) for m, kind in self.kinds.items()}
        if absent := [column.name for column in columns.values() if column.name not in data.columns]:
            near = did_you_mean(absent[0], map(str, data.columns))
            raise DataError(
                f"The table has no column {absent[0]!r}, which the model was trained on.{near} Where no row has it, add an empty one: "
                f"table[{absent[0]!r}] = None."
            )
        return MultimodalDataset.from_frame(data, columns, None, root=root, unreadable=unreadable)

    def _count(self, before: Mapping[str, int]) -> None:
        after = self.workspace.counters
        for name, value in before.items():
            self.counters[name] += after[name] - value
