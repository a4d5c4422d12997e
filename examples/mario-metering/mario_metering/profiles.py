"""The incidents of the metering task: one family, for training and evaluation alike.

In: faults of mario-dagster and of this package. Out: `PROFILES`.
"""

from __future__ import annotations

from mario_dagster.plugin import TRAIN, AnyOf, Profile, fault

from .swapped_columns import SwappedColumns

RenamedColumns = fault("renamed_columns")
RetriedLoad = fault("retried_load")
SpelledMoments = fault("spelled_moments")
SpelledNumbers = fault("spelled_numbers")

NAMES = tuple(f"{stem}_{end}" for stem in ("usage", "energy", "consumed", "drawn") for end in ("kwh", "qty", "reading"))
TIMES = tuple(f"{stem}_{end}" for stem in ("read", "metered", "taken") for end in ("on", "time", "ts", "utc"))

PROFILES = (
    Profile(
        name="metering_swapped_labels_incident",
        task="metering",
        splits=("train", "eval"),
        summary="A release of the metering service swapped labels, renamed columns and retried its loads.",
        patterns=("swapped columns", "renamed columns", "time spellings", "retried loads"),
        faults=(
            SwappedColumns("meters", (("site", "tariff"),)),
            RenamedColumns("readings", {"kwh": NAMES, "read_at": TIMES}, least=2, most=2),
            AnyOf(
                (
                    SpelledMoments("readings", "read_at", ("iso_utc", *TRAIN.timestamps), least=2, most=3),
                    SpelledNumbers("readings", "kwh", TRAIN.units, least=1, most=2),
                ),
            ),
            AnyOf((RetriedLoad("readings"), RetriedLoad("meters", share=(0.1, 0.3))), least=1, most=2),
        ),
    ),
)
