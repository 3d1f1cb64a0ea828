"""Hair as strands: polylines that grow from the scalp, and how one hairstyle's become another's."""
