from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from motions import face_at

from perse_live.detect import Detection
from perse_live.facelock import FaceLock


def by_size(*faces: Detection) -> list[Detection]:
    return sorted(
        faces, key=lambda face: -float(face.landmarks[:, 0].max() - face.landmarks[:, 0].min())
    )


def test_at_first_the_largest_is_taken() -> None:
    small, large = face_at(100, 100, 60), face_at(400, 200, 120)
    assert FaceLock().choose(by_size(small, large), 0.0) is large
    assert FaceLock().choose([], 0.0) is None


@given(
    st.lists(
        st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.9, 1.1)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([1 / 30, 1 / 15]),
)
def test_it_stays_with_its_face_while_another_becomes_larger(
    steps: list[tuple[float, float, float]], interval: float
) -> None:
    lock = FaceLock()
    x, y, size = 320.0, 240.0, 100.0
    assert lock.choose([face_at(x, y, size)], 0.0) is not None
    for number, (right, down, grown) in enumerate(steps, 1):
        x, y, size = x + right * size, y + down * size, min(max(size * grown, 60), 160)
        driver, stranger = face_at(x, y, size), face_at(x + 6 * size, y, 3 * size)
        assert lock.choose(by_size(driver, stranger), number * interval) is driver


def test_another_face_is_not_taken_for_one_that_is_away_for_a_moment() -> None:
    lock = FaceLock()
    driver, stranger = face_at(150, 200, 100), face_at(500, 200, 140)
    lock.choose([driver], 0.0)
    for frame in range(1, 10):
        assert lock.choose([stranger], frame / 30) is None
    assert lock.choose(by_size(driver, stranger), 10 / 30) is driver


def test_after_a_long_absence_anybody_may_drive() -> None:
    lock = FaceLock()
    driver, stranger = face_at(-2000, 200, 100), face_at(2500, 200, 140)
    lock.choose([driver], 0.0)
    assert lock.choose([stranger], 1.4) is None
    assert lock.choose([stranger], 1.6) is stranger
    assert lock.choose(by_size(driver, stranger), 1.63) is stranger


def test_reset_forgets() -> None:
    lock = FaceLock()
    driver, stranger = face_at(150, 200, 100), face_at(500, 200, 140)
    lock.choose([driver], 0.0)
    lock.reset()
    assert lock.choose(by_size(driver, stranger), 0.03) is stranger


def test_a_much_larger_face_in_the_same_place_is_another_one() -> None:
    lock = FaceLock()
    driver, stranger = face_at(300, 200, 100), face_at(310, 200, 180)
    lock.choose([driver], 0.0)
    assert lock.choose([stranger], 1 / 30) is None
    assert lock.choose(by_size(driver, stranger), 2 / 30) is driver
