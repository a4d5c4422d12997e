"""Why a check fails, as short codes that stay the same: what `check_failures` says instead of a sentence.

In: nothing. Out: `REASONS`, code -> what is counted. An audit's failures have the name of the expectation that did not
hold (`expect_column_sum_to_be_between`) and are counted once each.
"""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    # a table's contract
    "missing_table": "the table was never written",
    "no_rows": "the table is empty",
    "missing_column": "the contract's column is not there",
    "duplicate_column": "two columns have this name",
    "unexpected_order": "the column stands before one that the contract has after it",
    "wrong_type": "the column is stored in another type than the contract's",
    "missing_value": "cells that are null, or a word for no value (`n/a`) in a number, a moment or a category",
    "duplicate_key": "rows whose key stands in an earlier row",
    "out_of_range": "numbers outside the contract's range",
    "bad_pattern": "texts that do not match the contract's pattern",
    "bad_category": "texts that are none of the contract's categories",
    # what a table's rows should look like
    "outlier": "numbers out of range, or far from all others",
    "not_canonical": "cells that are text where the contract has a date or a time",
    "not_a_number": "cells that are text where the contract has an amount",
    # tables beside each other
    "unknown_reference": "rows that refer to a key that the other table does not have",
    "repeated_row": "rows of a derived table that stand there twice",
    "unfounded_row": "rows of a derived table that its inputs do not lead to",
    "missing_row": "rows that its inputs lead to and the derived table lacks",
    "wrong_value": "cells of a derived table that are not what its inputs come to",
    "cannot_recompute": "its inputs do not let the table be computed",
    "stale": "the derived table is older than what it is computed from",
    # tables beside what producers declare
    "fewer_than_declared": "by how many a batch, or a feed, has fewer distinct keys than its producer declared rows",
    "more_than_declared": "by how many it has more; which rows those are, no count says",
    "undeclared_feed": "nothing is declared for the feed",
    "row_of_no_batch": "rows that name no batch",
    "row_of_unlanded_batch": "rows of a batch that is not loaded",
    "pending_batch": "batches that were announced and are not loaded",
    "no_batch": "no batch is loaded, and none waits",
    # the check itself
    "check_error": "the check could not be made",
}
