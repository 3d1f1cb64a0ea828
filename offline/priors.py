"""Priors that modules of the builder share. Lengths in pixels are for an eye distance of 115, and are multiplied by the unit."""

ENOUGH = 60
"""Samples of a kind (pixels, points, Gaussians) from which its appearance is learnt, and neighbours that tell of a place what it
does not show; fewer tell nothing. It stands for eleven numbers of 48 to 500."""
PATCH = 24
"""Neighbours that are a patch of surface, some 5 mm of skin: over them labels, normals and hollows are evened out; and fewest
points of which a median is taken. It stands for eight numbers of 10 to 30."""
DARKEST = 0.02
"""sRGB; darker colours are noise, of which no ratio or logarithm is taken."""
SAME_PLACE = 0.006
"""Metres within which two points are one place of the surface: the tolerance of visibility tests against the rig's depth, which
is off by some millimetres where landmarks are few, and of mirror points."""
COVERING = 0.002
"""Metres by which a surface lies before another that it covers: hair on skin, a body on that which hair hides, skin on a second
layer of skin, a sheet of clothes on the rig's shoulders."""
USUAL_SKIN = (0.72, 0.55, 0.47)
"""sRGB, where the photo shows no skin."""
BESIDE_EDGE = (1, 6)
"""Rows beside the photo's edge that say what goes on beyond it; the first is mixed with what is outside."""
NARROW = 2.4
"""Pixels: half the width of strips that are no part of their own: shadows and mixed pixels at borders. At 3
the astronaut's border steps (`eval --portraits`) rise by 0.6."""
PIECE, PART = 80.0, 300.0
"""Pixels: the least area of a connected component that is more than noise, such as a lock of hair; and the
least area of hair or clothes that are built. They stand for eleven thresholds of 60 to 120 and of 200 to 400."""
ON_EAR = 0.3
"""Of the ears' chart: from which a point is the ear itself."""
