"""Quality metrics of turned heads, without a reference.

`battery` measures one avatar by all of `specks`, `holes`, `steps`, `drift` and `lids`; `comparison` compares two runs.
Lengths are in units of the distance between the eyes' centres, colour differences are Delta E of 1976 (CIE L*a*b*).
"""
