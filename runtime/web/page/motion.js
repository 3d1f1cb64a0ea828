/**
 * Messages of motion to states: the twin of `MotionDecoder` in perse_live/motion.py, whose description of the format holds here.
 *
 * @typedef {{
 *   time: number, expression: number[], gaze: [[number, number], [number, number]], head: number[], place: number[], body: number[],
 *   secondary: number[], weights: number[],
 * }} MotionState time: seconds since the stream began; head, body: rotation vectors from the head frame into the camera frame, radians;
 *   place: metres; gaze: yaw and pitch of the left and the right eye, radians
 */

const EXPRESSIONS = 52;
const UNIT_STEPS = 255;
const ANGLE_STEPS = 8192; // of a radian
const LENGTH_STEPS = 10_000; // of a metre
const PARTS = [EXPRESSIONS, 4, 3, 3, 3, 4]; // expression, gaze, head's rotation and place, shoulders' rotation, secondary motion
const FIXED = PARTS.reduce((sum, part) => sum + part, 0);
const MOST_ATTRIBUTES = 256;
const LONGEST_MESSAGE = 4096; // bytes
const MOST_ANGLE = 4 * ANGLE_STEPS;
const MOST_LENGTH = 20 * LENGTH_STEPS;
const KEY = 0;
const DIFFERENCE = 1;
const MOST_BITS = 42; // of a number; the product of its powers of 2 is exact in a double

/** What is wrong with a message, in a few words. */
export class MessageError extends Error {}

/** Messages to states, whichever of them are lost or overtaken on the way. */
export class MotionDecoder {
  /** @type {number[] | null} */
  #key = null;
  #number = -1;

  /**
   * @param {Uint8Array} message
   * @returns {MotionState | null} null where the message is a difference to a key message that is not there
   */
  decode(message) {
    if (message.length < 3 || message.length > LONGEST_MESSAGE) throw new MessageError(`${message.length} bytes long`);
    const kind = message[0];
    const numbers = readNumbers(message.subarray(1));
    const [number = 0, milliseconds = 0] = numbers;
    const time = milliseconds / 1000;
    if (kind === KEY) {
      const count = numbers[2] ?? 0;
      if (count < FIXED || count > FIXED + MOST_ATTRIBUTES) throw new MessageError(`${count} values in it`);
      const steps = unrolled(numbers, 3, count);
      const state = stateOf(steps, time);
      if (number >= this.#number) {
        this.#key = steps;
        this.#number = number;
      }
      return state;
    }
    if (kind !== DIFFERENCE) throw new MessageError(`of kind ${kind}`);
    const key = this.#key;
    if (key === null || number !== this.#number) return null;
    return stateOf(unrolled(numbers, 2, key.length).map((step, k) => step + /** @type {number} */ (key[k])), time);
  }
}

/** @param {number[]} steps @param {number} time @returns {MotionState} */
function stateOf(steps, time) {
  let start = 0;
  const [expression, gaze, head, place, body, secondary] = PARTS.map((count) => steps.slice(start, (start += count)));
  const weights = steps.slice(start);
  const units = [...expression, ...weights];
  const angles = [...gaze, ...head, ...body, ...secondary];
  if (units.some((step) => step < 0 || step > UNIT_STEPS) || angles.some((step) => Math.abs(step) > MOST_ANGLE)
    || place.some((step) => Math.abs(step) > MOST_LENGTH)) throw new MessageError("with a value out of range");
  /** @param {number[]} part @param {number} count */
  const scaled = (part, count) => part.map((step) => step / count);
  const [leftYaw, leftPitch, rightYaw, rightPitch] = scaled(gaze, ANGLE_STEPS);
  return {
    time,
    expression: scaled(expression, UNIT_STEPS),
    gaze: [[leftYaw, leftPitch], [rightYaw, rightPitch]],
    head: scaled(head, ANGLE_STEPS),
    place: scaled(place, LENGTH_STEPS),
    body: scaled(body, ANGLE_STEPS),
    secondary: scaled(secondary, ANGLE_STEPS),
    weights: scaled(weights, UNIT_STEPS),
  };
}

/** Values from runs: how many zeros, then a value with its sign in the lowest bit. @param {number[]} numbers @param {number} first @param {number} count */
function unrolled(numbers, first, count) {
  const values = new Array(count).fill(0);
  let place = -1;
  for (let k = first; k < numbers.length; k += 2) {
    place += /** @type {number} */ (numbers[k]) + 1;
    const coded = numbers[k + 1];
    if (coded === undefined || place >= count) throw new MessageError("cut off or too long");
    values[place] = coded % 2 ? -(coded + 1) / 2 : coded / 2;
  }
  return values;
}

/** All LEB128 numbers of a message. @param {Uint8Array} data */
function readNumbers(data) {
  /** @type {number[]} */
  const found = [];
  let value = 0;
  let bits = 0;
  for (const byte of data) {
    value += (byte & 0x7f) * 2 ** bits;
    bits += 7;
    if (bits > MOST_BITS) throw new MessageError(`with a number of more than ${MOST_BITS} bits`);
    if (byte < 0x80) {
      found.push(value);
      value = bits = 0;
    }
  }
  if (bits) throw new MessageError("cut off");
  return found;
}
