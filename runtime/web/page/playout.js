/**
 * When which state of motion is shown: late enough that the next one has usually come, so that the avatar moves evenly although
 * messages do not come evenly.
 */

const WINDOW = 3000; // milliseconds of arrivals that the delay is judged by
const LEAST_DELAY = 10; // milliseconds
const MOST_DELAY = 250;
const FASTER = 0.02; // of a second by which the delay shrinks in a second: not seen in the motion
const LONGEST_STEP = 500; // milliseconds between two states that are interpolated; after a longer silence the next one is shown at once
const KEPT = 60;

/** @typedef {import("./motion.js").MotionState} MotionState */
/** @typedef {{expression: number[], gaze: number[][], head: number[][], body: number[][], place: number[], secondary: number[], weights: number[]}} Shown
 *  head, body: rotation matrices, row by row */

/** Keeps the last states, and says what is shown at a moment. */
export class Playout {
  /** @type {MotionState[]} */
  #states = [];
  /** @type {{at: number, offset: number, gap: number}[]} arrivals; offset: arrival minus the state's time; gap: since the state before */
  #arrivals = [];
  #delay = LEAST_DELAY + 1000 / 30;
  #asked = 0;

  /** Take a state. @param {MotionState} state @param {number} now milliseconds */
  add(state, now) {
    const last = this.#states[this.#states.length - 1];
    const time = 1000 * state.time;
    if (last !== undefined && time < 1000 * last.time - 60_000) this.clear(); // another stream
    const place = this.#states.findIndex((one) => one.time >= state.time);
    if (place < 0) this.#states.push(state);
    else if (this.#states[place]?.time !== state.time) this.#states.splice(place, 0, state);
    if (this.#states.length > KEPT) this.#states.shift();
    const gap = last === undefined ? 0 : time - 1000 * last.time;
    this.#arrivals.push({ at: now, offset: now - time, gap });
    while (this.#arrivals[0] !== undefined && now - this.#arrivals[0].at > WINDOW) this.#arrivals.shift();
  }

  clear() {
    this.#states = [];
    this.#arrivals = [];
  }

  /** How late states are shown after the fastest of the last ones came, milliseconds. */
  get delay() {
    return this.#delay;
  }

  /** What is shown now, and the time of it; null before the first state. @param {number} now @returns {{shown: Shown, time: number} | null} */
  at(now) {
    const states = this.#states;
    const newest = states[states.length - 1];
    if (newest === undefined) return null;
    const offsets = this.#arrivals.map(({ offset }) => offset).sort((one, other) => one - other);
    const fastest = offsets[0] ?? now - 1000 * newest.time;
    const late = (offsets[Math.floor(0.95 * (offsets.length - 1))] ?? fastest) - fastest;
    const gaps = this.#arrivals.map(({ gap }) => gap).filter((gap) => gap > 0 && gap < LONGEST_STEP).sort((one, other) => one - other);
    const interval = gaps[gaps.length >> 1] ?? 1000 / 30;
    const wanted = Math.min(Math.max(interval + late, LEAST_DELAY), MOST_DELAY);
    const passed = this.#asked ? Math.min(now - this.#asked, 1000) : 0;
    this.#asked = now;
    this.#delay = Math.max(wanted, this.#delay - FASTER * passed);
    const time = (now - fastest - this.#delay) / 1000;
    const next = states.findIndex((one) => one.time > time);
    const [from, to] = next < 0 ? [newest, newest] : next === 0 ? [states[0], states[0]] : [states[next - 1], states[next]];
    if (from === undefined || to === undefined) return null;
    const step = to.time - from.time;
    const share = step <= 0 || 1000 * step > LONGEST_STEP ? 1 : (time - from.time) / step;
    return { shown: between(from, to, share), time: from.time + share * step };
  }
}

/** @param {MotionState} from @param {MotionState} to @param {number} share @returns {Shown} */
export function between(from, to, share) {
  /** @param {number[]} a @param {number[]} b */
  const mix = (a, b) => (a.length === b.length ? a.map((x, k) => x + share * ((b[k] ?? 0) - x)) : b);
  return {
    expression: mix(from.expression, to.expression),
    gaze: from.gaze.map((eye, k) => mix(eye, to.gaze[k] ?? eye)),
    head: rotation(from.head, to.head, share),
    body: rotation(from.body, to.body, share),
    place: mix(from.place, to.place),
    secondary: mix(from.secondary, to.secondary),
    weights: mix(from.weights, to.weights),
  };
}

/** Between two rotation vectors: normalised interpolation of their quaternions. @param {number[]} from @param {number[]} to @param {number} share */
function rotation(from, to, share) {
  const a = quaternion(from);
  const b = quaternion(to);
  const sign = a.reduce((sum, part, k) => sum + part * /** @type {number} */ (b[k]), 0) < 0 ? -1 : 1;
  const mixed = a.map((part, k) => (1 - share) * part + share * sign * /** @type {number} */ (b[k]));
  const unit = 1 / Math.hypot(...mixed);
  const [w, x, y, z] = /** @type {[number, number, number, number]} */ (mixed.map((part) => part * unit));
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/** wxyz of a rotation vector. @param {number[]} vector */
function quaternion(vector) {
  const angle = Math.hypot(...vector);
  const factor = angle > 1e-9 ? Math.sin(angle / 2) / angle : 0.5;
  return [Math.cos(angle / 2), ...vector.map((part) => part * factor)];
}
