"""Many avatars from a table of photos: rows are read and checked, built in worker processes, stored and reported.

`table` reads the CSV, `job` defines jobs and results, `local` runs workers on this machine, `cluster` runs them by Ray, `ledger`
records finished rows, `report` writes the results as CSV and as a page. The work for a row is in `perse_live.cli.batch_worker`.
"""
