from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.errors import UserError
from runtime.live.actions import (
    BADGE_PLACES,
    GAIN_REGIONS,
    Action,
    ClearAttributes,
    Hide,
    Mirror,
    Mute,
    Recalibrate,
    Record,
    SetAttribute,
    SetBackground,
    SetBadge,
    SetGain,
    SetPicture,
    SetVirtualCamera,
    SetWeights,
    StepAttribute,
    SwitchAvatar,
    parse_action,
    parse_action_text,
)

NAMES = (
    "attribute",
    "next-attribute",
    "previous-attribute",
    "no-attributes",
    "recalibrate",
    "mirror",
    "hide",
    "record",
    "avatar",
    "background",
    "gain",
    "badge",
    "weights",
    "picture",
    "virtual-camera",
)
FIELDS = (
    "name",
    "weight",
    "seconds",
    "on",
    "number",
    "background",
    "region",
    "value",
    "place",
    "reason",
    "extra",
    "weights",
    "width",
    "height",
    "fps",
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.integers(10**350, 10**360)
)
VALUES = st.recursive(
    SCALARS,
    max_leaves=6,
    extend=lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
LIKELY = VALUES | st.sampled_from(
    [*GAIN_REGIONS, *BADGE_PLACES, 0, 1, 0.5, 2, True, "1", "hair-copper"]
)


def parsed(message: dict[str, Any]) -> Action | None:
    """The action, or None where it was refused as a user should see it."""
    try:
        return parse_action(message)
    except UserError as error:
        assert str(error) and "\n" not in str(error)
        assert len(str(error)) < 400
        return None


@given(
    st.dictionaries(st.text(max_size=10) | st.sampled_from(["action", *FIELDS]), VALUES, max_size=4)
)
def test_any_json_object_is_understood_or_refused(message: dict[str, Any]) -> None:
    parsed(message)


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), LIKELY, max_size=3))
def test_what_is_understood_is_in_range(name: str, fields: dict[str, Any]) -> None:
    action = parsed({"action": name} | fields)
    match action:
        case None:
            return
        case SetAttribute():
            assert action.weight is None or 0 <= action.weight <= 1
        case Recalibrate():
            assert 0 <= action.seconds <= 10
        case SwitchAvatar():
            assert action.number >= 1
            assert action.number == fields["number"]
        case SetGain():
            assert action.region in GAIN_REGIONS
            assert 0 <= action.value <= 2
        case SetBadge():
            assert action.place in BADGE_PLACES
            assert action.place != "off" or action.reason.strip()
        case SetWeights():
            assert all(
                0 <= weight <= 1 and len(look) <= 40 for look, weight in action.weights.items()
            )
        case SetPicture():
            assert (
                min(action.width, action.height) >= 128 and max(action.width, action.height) <= 1920
            )
            assert 5 <= action.fps <= 120 and action.width % 2 == action.height % 2 == 0
        case Mirror() | Hide() | Record() | Mute() | SetVirtualCamera():
            assert action.on is None or isinstance(action.on, bool)
        case SetBackground():
            assert len(action.background) <= 200
        case StepAttribute() | ClearAttributes():
            assert not fields
    assert "extra" not in fields


@given(st.text(max_size=60))
def test_any_binding_is_understood_or_refused(text: str) -> None:
    try:
        parse_action_text(text)
    except UserError as error:
        assert "\n" not in str(error)


@given(st.sampled_from(NAMES), st.text(max_size=30))
def test_a_binding_means_what_its_object_means(name: str, parameter: str) -> None:
    try:
        action = parse_action_text(f"{name} {parameter}")
    except UserError:
        return
    field = {
        "attribute": "name",
        "avatar": "number",
        "background": "background",
        "recalibrate": "seconds",
    }
    words = parameter.split()
    value: Any = words[0] if words else None
    if words and name in ("avatar", "recalibrate"):
        value = int(value)
    assert action == parse_action({"action": name} | ({field[name]: value} if words else {}))


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (
            {"action": "attribute", "name": "hair-copper", "weight": 0.4},
            SetAttribute("hair-copper", 0.4),
        ),
        ({"action": "attribute", "name": "3"}, SetAttribute("3")),
        ({"action": "attribute", "name": "3", "weight": None}, SetAttribute("3")),
        ({"action": "next-attribute"}, StepAttribute(1)),
        ({"action": "previous-attribute"}, StepAttribute(-1)),
        ({"action": "no-attributes"}, ClearAttributes()),
        ({"action": "recalibrate"}, Recalibrate(3.0)),
        ({"action": "recalibrate", "seconds": 0}, Recalibrate(0.0)),
        ({"action": "mirror"}, Mirror()),
        ({"action": "hide", "on": True}, Hide(True)),
        ({"action": "record", "on": False}, Record(False)),
        ({"action": "avatar", "number": 2}, SwitchAvatar(2)),
        ({"action": "background", "background": "ffffff"}, SetBackground("ffffff")),
        ({"action": "gain", "region": "mouth", "value": 1.5}, SetGain("mouth", 1.5)),
        ({"action": "badge", "place": "top-left"}, SetBadge("top-left")),
        ({"action": "badge", "place": "off", "reason": "a test"}, SetBadge("off", "a test")),
        (
            {"action": "weights", "weights": {"hat-wide": 1, "beard-full": 0.5}},
            SetWeights({"hat-wide": 1.0, "beard-full": 0.5}),
        ),
        (
            {"action": "picture", "width": 1281, "height": 720, "fps": 24},
            SetPicture(1280, 720, 24.0),
        ),
        ({"action": "virtual-camera"}, SetVirtualCamera()),
        ({"action": "virtual-camera", "on": False}, SetVirtualCamera(False)),
    ],
)
def test_the_documented_actions(message: dict[str, Any], action: Action) -> None:
    assert parse_action(json.loads(json.dumps(message))) == action


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({}, "unknown action None"),
        ({"action": "dance"}, "unknown action 'dance': give one of attribute, "),
        ({"action": ["hide"]}, "unknown action"),
        ({"action": "attribute"}, "name is None"),
        ({"action": "attribute", "name": 3}, "name is 3"),
        ({"action": "attribute", "name": "x" * 201}, "at most 200 characters"),
        ({"action": "attribute", "name": "hat", "weight": 1.1}, "a number from 0 to 1"),
        ({"action": "attribute", "name": "hat", "weight": True}, "weight is True"),
        ({"action": "attribute", "name": "hat", "weight": float("nan")}, "weight is nan"),
        ({"action": "recalibrate", "seconds": 11}, "a number from 0 to 10"),
        ({"action": "hide", "on": 1}, "true or false"),
        ({"action": "hide", "of": True}, "unknown field 'of'"),
        ({"action": "next-attribute", "step": 2}, "unknown field 'step'"),
        ({"action": "avatar", "number": 0}, "from 1 to 1000"),
        ({"action": "avatar", "number": 1.5}, "a whole number"),
        ({"action": "gain", "region": "nose", "value": 1}, "one of head, brows, eyes, mouth"),
        ({"action": "gain", "region": "head"}, "value is None"),
        (
            {"action": "gain", "region": "head", "value": 10**400},
            "a number from 0 to 2",
        ),  # JSON knows numbers of any length
        ({"action": "gain", "region": "head", "value": -(10**400)}, "a number from 0 to 2"),
        ({"action": "badge", "place": "off"}, "needs a reason"),
        ({"action": "badge", "place": "off", "reason": " \t"}, "needs a reason"),
        ({"action": "badge", "place": "middle"}, "one of top-left"),
        ({"action": "weights", "weights": [1]}, "an object with at most 64 weights"),
        ({"action": "weights", "weights": {"x" * 41: 1}}, "by names of attributes"),
        ({"action": "weights", "weights": {"hat": 2}}, "hat is 2; it must be a number from 0 to 1"),
        ({"action": "picture", "width": 64, "height": 512, "fps": 30}, "a number from 128 to 1920"),
    ],
)
def test_a_mistake_is_named(message: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_action(message)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("attribute 3", SetAttribute("3")),
        (" hide ", Hide()),
        ("avatar 2", SwitchAvatar(2)),
        ("background green", SetBackground("green")),
        ("recalibrate 5", Recalibrate(5.0)),
        ("recalibrate", Recalibrate(3.0)),
        ("record", Record()),
    ],
)
def test_bindings(text: str, action: Action) -> None:
    assert parse_action_text(text) == action


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "hide now",
        "attribute",
        "attribute 1 0.5",
        "avatar x",
        "avatar 0",
        "avatar 12345",
        "recalibrate 99",
        "gain head",
        "badge off",
        "background",
        "nothing",
    ],
)
def test_bindings_that_mean_nothing(text: str) -> None:
    with pytest.raises(UserError, match="action"):
        parse_action_text(text)
