"""How an avatar's appearance follows its expression, from one photo: what closing lids, frowns and smiles change of it."""
