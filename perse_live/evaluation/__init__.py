"""How like the person an avatar is: self-reenactment of real clips, and the figures it is scored by.

One frame of a clip is the portrait; the avatar made from it is driven by the other frames and compared with them, inside the
face only. Nothing here builds or draws: that is the command's to do.
"""
