"""From a result to a row, and from rows to the output: outcomes, order, rows, tables, the manifest."""
