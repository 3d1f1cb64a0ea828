"""A hat of a second photo: the pixels on that head that are neither hair nor skin, lifted to a shell and fitted to the avatar."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from offline.editing.donor import Donor
from offline.editing.head_pair import Transplant
from offline.editing.head_warp import head_warp
from offline.images import dilate, disk, erode
from offline.lift.depth import hair_shell
from offline.lift.hair import hair_layers, hair_surfaces
from offline.looks.changes import Title
from offline.looks.headwear.hat_form import HatForm, hat_form
from offline.looks.headwear.under_hat import hat_attribute
from offline.looks.measured_head import head_shape
from offline.looks.photo_tones import lab_of
from offline.rig.photo_geometry import attribute_map
from offline.segment.landmark_masks import face_oval
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.attributes import Attribute
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.rotations import multiply, to_quat

_UNLIKE = 14.0  # Lab units between a hat and the hair or skin of its wearer
_LEAST = 0.35  # share of the crown that a hat covers
_UNDER, _THICK = 0.003, 0.006  # metres between compressed hair and hat; thickness of the hat
_BACK = -0.035  # metres, head frame: height of a hat's lower edge at the back
_BUDGET = 6500  # Gaussians, about
_SEED = 5


def hat_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where that head wears no hat."""
    donor = both.donor
    mask = hat_mask(donor)
    unit = donor.portrait.unit
    look = replace(donor.look, hair=mask.astype(np.float32))
    shell = hair_shell(donor.geometry, mask, look.alpha, donor.portrait.chin_row, unit)
    surfaces = hair_surfaces(donor.geometry, look, shell, unit)
    layer = hair_layers(
        donor.geometry, look, surfaces, look.hair, unit, _BUDGET, np.random.default_rng(_SEED)
    )
    hat = head_warp(donor, both.avatar).gaussians(_in_head_frame(donor, layer.gaussians))
    shape = head_shape(both.avatar)
    brow = float(shape.landmarks[[105, 334], 1].mean())
    ahead = hat.means[(np.abs(hat.means[:, 0]) < 0.02) & (hat.means[:, 2] > -0.03)]
    edge = float(np.percentile(ahead[:, 1], 4)) if len(ahead) > 20 else brow + 0.03
    front = np.clip((edge - brow) / (float(shape.landmarks[10, 1]) - brow), 0.1, 0.9)
    form = hat_form(shape, front=float(front), back=_BACK)
    means = _room_for_hair(form, hat.means)
    hat = Gaussians(
        means,
        hat.quats,
        hat.scales,
        hat.opacities,
        both.light.things(hat.colors).astype(np.float32),
    )
    return replace(hat_attribute(title.name, title.label, form, hat, extra=_THICK), slot=title.slot)


def _room_for_hair(form: HatForm, means: Float32Array) -> Float32Array:
    """Means (N, 3) of the hat, widened until the compressed hair of this head fits into it."""
    azimuth, elevation, distance = form.polar(means.astype(np.float64))
    over = elevation > 0.1
    if not over.any():
        return means
    tight = (form.reach(azimuth[over], elevation[over]) + _UNDER) / distance[over]
    grown = max(1.0, float(np.percentile(tight, 80)))
    widened = form.origin + grown * (means - form.origin)
    short = np.maximum(form.reach(azimuth, elevation) + _UNDER - grown * distance, 0) * (
        elevation > 0.05
    )
    return (widened + short[:, None] * form.direction(azimuth, elevation)).astype(np.float32)


def hat_mask(donor: Donor) -> BoolArray:
    """(H, W) pixels of the hat; raises UserError where there is none."""
    look, portrait = donor.look, donor.portrait
    u, landmarks = portrait.unit, portrait.detection.landmarks
    person = (look.alpha > 0.5) & look.valid
    chin, top = landmarks[152, :2], landmarks[10, :2]
    up = (top - chin) / np.linalg.norm(top - chin)
    rows, columns = np.mgrid[0 : person.shape[0], 0 : person.shape[1]]
    height = ((columns + 0.5 - chin[0]) * up[0] + (rows + 0.5 - chin[1]) * up[1]) / np.linalg.norm(
        top - chin
    )
    lab = lab_of(look.image.reshape(-1, 3)).reshape(*person.shape, 3)
    crown = person & (height > 1.08)
    skin = (look.skin > 0.8) & (height < 0.75) & (height > 0.1) & person
    beside = (
        person
        & (look.hair > 0.6)
        & (height < 0.80)
        & (height > 0.15)
        & ~face_oval(landmarks, person.shape)
    )
    beside = erode(beside, u)
    if crown.sum() < 200 or skin.sum() < 200:
        raise _none(donor)
    unlike = np.linalg.norm((lab - np.median(lab[skin], 0)) * (0.5, 1, 1), axis=-1) > _UNLIKE
    if beside.sum() > 60 * u**2:
        unlike &= np.linalg.norm((lab - np.median(lab[beside], 0)) * (0.8, 1, 1), axis=-1) > _UNLIKE
    brows = _brow_colors(donor, lab)
    if len(brows):
        # where no hair is visible around the face, its hue is that of the brows
        unlike &= np.linalg.norm((lab - np.median(brows, 0)) * (0.4, 1, 1), axis=-1) > 0.6 * _UNLIKE
    if float(unlike[crown].mean()) < _LEAST:
        raise _none(donor)
    labels = np.full(person.shape, cv2.GC_BGD, np.uint8)
    around = person & (height > 0.62)
    labels[around] = cv2.GC_PR_BGD
    labels[around & unlike & (height > 0.8)] = cv2.GC_PR_FGD
    labels[erode(crown & unlike, 2 * u)] = cv2.GC_FGD
    labels[dilate(erode(beside, u), u) | (look.skin > 0.9) & (height < 0.8)] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(portrait.rgb),
        labels,
        (0, 0, 0, 0),
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        4,
        cv2.GC_INIT_WITH_MASK,
    )
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    found = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, disk(2 * u))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        cv2.morphologyEx(found, cv2.MORPH_CLOSE, disk(4 * u))
    )
    if count < 2:
        raise _none(donor)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    # The edge is half forehead
    mask = erode((parts == largest) & person & ~((look.skin > 0.6) & (height < 1.0)), u)
    if float(mask[crown].mean()) < _LEAST or mask.sum() < 1500 * u**2:
        raise _none(donor)
    return mask


def _brow_colors(donor: Donor, lab: FloatArray) -> FloatArray:
    """The darker third (N, 3), in Lab, of what the photo shows of the brows."""
    brows = attribute_map(donor.geometry, donor.charts.brows[:, None])[..., 0]
    seen = lab[np.nan_to_num(brows) > 0.5]
    return seen[seen[:, 0] <= np.percentile(seen[:, 0], 33)] if len(seen) > 30 else seen[:0]


def _none(donor: Donor) -> UserError:
    return UserError(
        f"{donor.photo.name}: no hat can be told from hair on that head; use a photo with a hat of another colour"
    )


def _in_head_frame(donor: Donor, gaussians: Gaussians) -> Gaussians:
    """Camera frame to the donor's head frame."""
    geometry = donor.geometry
    turn = np.broadcast_to(to_quat(geometry.R_cam_head.T.astype(np.float64)), gaussians.quats.shape)
    quats = gaussians.quats / np.linalg.norm(gaussians.quats, axis=1, keepdims=True)
    return Gaussians(
        geometry.to_head(gaussians.means.astype(np.float64)).astype(np.float32),
        multiply(turn, quats.astype(np.float64)).astype(np.float32),
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
    )
