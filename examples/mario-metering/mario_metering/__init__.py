"""An example plugin of mario-dagster: the task `metering`, the fault `swapped_columns`, one profile that uses it."""
