"""Many avatars from a table of photos: rows are read and checked, made in worker processes, kept, and reported.

`table` reads the CSV, `job` says what a worker is given and gives back, `local` runs workers on this machine, `cluster` runs them
by Ray, `ledger` knows what stands already, `report` writes the results as CSV and as a page. What a row is made of, only the
command line knows: `perse_live.cli.batch_worker`.
"""
