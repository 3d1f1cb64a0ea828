// A perse-live web avatar: reads avatar.json and avatar.bin, and poses the Gaussians. No dependencies.
// The arithmetic is that of perse_live/animate.py, animator.py and correctives.py; a test compares the two.

const TYPES = { float32: Float32Array, uint32: Uint32Array, int16: Int16Array, uint8: Uint8Array };
const BACK_FACING = 0.25, LEAST = 2e-5, TINY = 1e-12, STEPS = 32767;
const GAZE = ["gazeYawLeft", "gazePitchLeft", "gazeYawRight", "gazePitchRight"], SECONDARY = ["swayPitch", "swayYaw", "swayRoll", "breath"];

/** Read an avatar from the folder at a URL. Throws where it is not one, or damaged. */
export async function loadAvatar(folder) {
  const manifest = await (await fetched(new URL("avatar.json", folder))).json();
  const content = await (await fetched(new URL("avatar.bin", folder))).arrayBuffer();
  return new Avatar(manifest, content);
}

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer;
}

const FACING = [[1, 0, 0], [0, -1, 0], [0, 0, -1]];

/** The head as it was in the photo, turned by yaw, pitch and roll (degrees) on shoulders that stay. */
export function turnedPose(avatar, yaw, pitch, roll) {
  const { R_cam_head: photo, t_cam_head: place } = avatar.manifest;
  return turnedFurther(avatar, { head: photo, body: photo, place }, { yaw, pitch, roll });
}

/** A pose whose head is turned further about the neck by yaw, pitch and roll (degrees), and whose shoulders by a share of that. */
export function turnedFurther(avatar, pose, { yaw, pitch, roll }, shoulders = 0) {
  const turn = share => product(product(FACING, euler(share * yaw, share * pitch, share * roll)), FACING);
  const head = product(turn(1), pose.head), { neckPivot: pivot } = avatar.manifest;
  const neck = turned(pose.head, pivot), now = turned(head, pivot);
  return { head, body: shoulders ? product(turn(shoulders), pose.body) : pose.body, place: pose.place.map((t, k) => t + neck[k] - now[k]) };
}

export class Avatar {
  constructor(manifest, content) {
    if (manifest.format !== "perse-live web avatar" || manifest.version !== 2) throw new Error("not a web avatar of version 2");
    if (content.byteLength !== manifest.bytes) throw new Error("avatar.bin has not the length that avatar.json says");
    this.manifest = manifest;
    for (const [name, { dtype, shape, offset }] of Object.entries(manifest.arrays)) {
      this[name] = new TYPES[dtype](content, offset, shape.reduce((a, b) => a * b, 1));
    }
    this.count = this.rgba.length / 4;
    this.expressed = new Float32Array(this.vertices.length);
    this.posed = new Float32Array(this.vertices.length);
    this.means = new Float32Array(3 * this.count);
    this.quats = new Float32Array(4 * this.count);  // wxyz
    this.scales = new Float32Array(3 * this.count);
    this.opacities = new Float32Array(this.count);
    this.restShades = Float32Array.from(this.rgba, value => value / 255);
    this.shades = this.restShades.slice();  // red, green, blue and opacity of each Gaussian, as in the expression
    this.positions = this.surfacePositions.slice();
    this.freeMeans = this.rigidMeans.slice();
  }

  /** An expression's weights by ARKit name, on a face whose lids rest as the person's do; 52 numbers. As `consistent_actions` of
   *  perse_live/head/expressions.py, a shut lid is not lowered further by a downward gaze, and mouthClose does not exceed jawOpen. */
  expression(weights) {
    const { expressions, restExpression } = this.manifest;
    const strengths = expressions.map((name, k) => restExpression[k] + (1 - restExpression[k]) * (weights[name] ?? 0));
    const place = name => expressions.indexOf(name);
    for (const side of ["Left", "Right"]) {
      const shut = Math.min(Math.max((strengths[place(`eyeBlink${side}`)] - 0.6) / 0.4, 0), 1);
      strengths[place(`eyeLookDown${side}`)] *= 1 - shut;
    }
    strengths[place("mouthClose")] = Math.min(strengths[place("mouthClose")], strengths[place("jawOpen")]);
    return strengths;
  }

  /** Where the eyes look by the eyeLook actions: [[yaw, pitch], [yaw, pitch]] of the subject's left and right eye, radians. */
  gaze(weights) {
    const { expressions, gazeByExpression } = this.manifest;
    return gazeByExpression.map(eye => eye.map(row => row.reduce((sum, part, k) => sum + part * (weights[expressions[k]] ?? 0), 0)));
  }

  /** Fill shades, means, quats, scales and opacities, in the camera frame; pose: { head, body: rotations as rows, place }; secondary: how
   *  loose hair is turned against the head about x, y, z (radians), and how far the lungs are filled. */
  pose(expression, gaze, pose, secondary = [0, 0, 0, 0]) {
    this.#correct(this.#features([...expression, ...gaze.flat(), ...secondary]));
    this.#express(expression);
    this.#turnEyes(gaze);
    const neck = neckOf(pose, this.manifest.neckPivot);
    for (let i = 0; i < this.headWeights.length; i++) movePoint(this.expressed, i, this.headWeights[i], neck, this.posed, i);
    this.#poseSurface();
    this.#poseRigid(neck);
  }

  /** How far each component of the correctives is there: the product of one or two piecewise-linear curves. */
  #features(values) {
    const { correctives, expressions } = this.manifest;
    const inputs = Object.fromEntries([...expressions, ...GAZE, ...SECONDARY].map((name, k) => [name, values[k]]));
    return correctives.map(({ curves }) => curves.reduce((product, { input, knots }) => product * along(knots, inputs[input]), 1));
  }

  /** Colours, opacities and places at rest, plus each component's changes times its feature. */
  #correct(features) {
    const { shades, positions, freeMeans } = this, bound = positions.length;
    shades.set(this.restShades);
    positions.set(this.surfacePositions);
    freeMeans.set(this.rigidMeans);
    if (features.every(feature => feature === 0)) return;
    features.forEach((feature, k) => {
      if (feature === 0) return;
      for (let n = this.shadeStarts[k]; n < this.shadeStarts[k + 1]; n++) {
        for (let c = 0; c < 4; c++) shades[4 * this.shadeIds[n] + c] += feature / STEPS * this.shadesAdded[4 * n + c];
      }
      for (let n = this.shiftStarts[k]; n < this.shiftStarts[k + 1]; n++) {
        const i = 3 * this.shiftIds[n], [places, at] = i < bound ? [positions, i] : [freeMeans, i - bound];
        for (let c = 0; c < 3; c++) places[at + c] += feature * this.shiftsAdded[3 * n + c];
      }
    });
    for (let i = 0; i < shades.length; i++) shades[i] = Math.min(Math.max(shades[i], 0), 1);
  }

  #express(expression) {
    const { actionScales } = this.manifest, out = this.expressed;
    out.set(this.vertices);
    expression.forEach((strength, action) => {
      if (strength === 0) return;
      const scale = strength * actionScales[action];
      for (let j = this.actionStarts[action]; j < this.actionStarts[action + 1]; j++) {
        const i = 3 * this.actionVertices[j];
        for (let c = 0; c < 3; c++) out[i + c] += scale * this.actionSteps[3 * j + c];
      }
    });
  }

  #turnEyes(gaze) {
    [this.leftEyeball, this.rightEyeball].forEach((ids, eye) => {
      const [yaw, pitch] = gaze[eye], [cx, cy, cz] = this.manifest.eyeCenters[eye];
      const c = Math.cos(yaw), s = Math.sin(yaw), d = Math.cos(pitch), p = Math.sin(pitch), out = this.expressed;
      for (const id of ids) {
        const x = out[3 * id] - cx, y = out[3 * id + 1] - cy, z = out[3 * id + 2] - cz;
        out[3 * id] = c * x - s * p * y + s * d * z + cx;
        out[3 * id + 1] = d * y + p * z + cy;
        out[3 * id + 2] = -s * x - c * p * y + c * d * z + cz;
      }
    });
  }

  #poseSurface() {
    const { posed: v, triangles, positions: at, surfaceAxes: axes, means, quats, scales, opacities } = this;
    for (let i = 0; i < this.surfaceTriangles.length; i++) {
      const t = 3 * this.surfaceTriangles[i], a = 3 * triangles[t], b = 3 * triangles[t + 1], c = 3 * triangles[t + 2];
      const x = v[a], y = v[a + 1], z = v[a + 2];
      const ax = v[b] - x, ay = v[b + 1] - y, az = v[b + 2] - z, bx = v[c] - x, by = v[c + 1] - y, bz = v[c + 2] - z;
      let nx = ay * bz - az * by, ny = az * bx - ax * bz, nz = ax * by - ay * bx;
      const unit = 1 / Math.sqrt(nx * nx + ny * ny + nz * nz + TINY * TINY);
      nx *= unit; ny *= unit; nz *= unit;
      const b1 = at[3 * i], b2 = at[3 * i + 1], lift = at[3 * i + 2];
      const mx = x + b1 * ax + b2 * bx + lift * nx, my = y + b1 * ay + b2 * by + lift * ny, mz = z + b1 * az + b2 * bz + lift * nz;
      means[3 * i] = mx; means[3 * i + 1] = my; means[3 * i + 2] = mz;
      const p1 = axes[4 * i], p2 = axes[4 * i + 1], q1 = axes[4 * i + 2], q2 = axes[4 * i + 3];
      let ux = p1 * ax + p2 * bx, uy = p1 * ay + p2 * by, uz = p1 * az + p2 * bz;
      const size = Math.sqrt(ux * ux + uy * uy + uz * uz + TINY);
      ux /= size; uy /= size; uz /= size;
      const wx = ny * uz - nz * uy, wy = nz * ux - nx * uz, wz = nx * uy - ny * ux;
      const across = Math.abs(wx * (q1 * ax + q2 * bx) + wy * (q1 * ay + q2 * by) + wz * (q1 * az + q2 * bz));
      quats.set(quaternion(ux, wx, nx, uy, wy, ny, uz, wz, nz), 4 * i);
      scales[3 * i] = Math.max(size, LEAST); scales[3 * i + 1] = Math.max(across, LEAST); scales[3 * i + 2] = this.surfaceThickness[i];
      const away = nx * mx + ny * my + nz * mz > BACK_FACING * Math.sqrt(mx * mx + my * my + mz * mz);
      opacities[i] = away && !this.surfaceTwoSided[i] ? 0 : this.shades[4 * i + 3];
    }
  }

  #poseRigid(neck) {
    const first = this.surfaceTriangles.length, body = quaternion(...neck.body.flat());
    for (let j = 0; j < this.rigidHeadWeights.length; j++) {
      const i = first + j;
      movePoint(this.freeMeans, j, this.rigidHeadWeights[j], neck, this.means, i);
      const turn = hamilton(share(this.rigidHeadWeights[j], neck.relative), body);
      this.quats.set(hamilton(turn, this.rigidQuats.subarray(4 * j, 4 * j + 4)), 4 * i);
      for (let c = 0; c < 3; c++) this.scales[3 * i + c] = this.rigidScales[3 * j + c];
      this.opacities[i] = this.shades[4 * i + 3];
    }
  }
}

/** A piecewise-linear function of knots [place, value], constant before the first and behind the last. */
function along(knots, x) {
  const next = knots.findIndex(([place]) => place > x);
  if (next === 0) return knots[0][1];
  if (next < 0) return knots[knots.length - 1][1];
  const [from, low] = knots[next - 1], [to, high] = knots[next];
  return low + (high - low) * (x - from) / (to - from);
}

function neckOf({ head, body, place }, pivot) {
  const transposed = body[0].map((_, k) => body.map(row => row[k]));
  let relative = quaternion(...product(head, transposed).flat());
  if (relative[0] < 0) relative = relative.map(part => -part);
  return { body, relative, pivot, posedPivot: turned(head, pivot).map((x, k) => x + place[k]) };
}

/** A point that follows the head by a weight, from the head frame into the camera frame. */
function movePoint(from, i, weight, { body, relative, pivot, posedPivot }, to, k) {
  const x = from[3 * i] - pivot[0], y = from[3 * i + 1] - pivot[1], z = from[3 * i + 2] - pivot[2];
  const a = body[0][0] * x + body[0][1] * y + body[0][2] * z;
  const b = body[1][0] * x + body[1][1] * y + body[1][2] * z;
  const c = body[2][0] * x + body[2][1] * y + body[2][2] * z;
  const [w, p, q, r] = share(weight, relative);
  const f = 2 * (q * c - r * b), g = 2 * (r * a - p * c), h = 2 * (p * b - q * a);
  to[3 * k] = a + w * f + q * h - r * g + posedPivot[0];
  to[3 * k + 1] = b + w * g + r * f - p * h + posedPivot[1];
  to[3 * k + 2] = c + w * h + p * g - q * f + posedPivot[2];
}

/** A share of a rotation, by normalised interpolation from the identity. */
function share(weight, [w, x, y, z]) {
  const a = 1 + weight * (w - 1), b = weight * x, c = weight * y, d = weight * z;
  const unit = 1 / Math.sqrt(a * a + b * b + c * c + d * d);
  return [a * unit, b * unit, c * unit, d * unit];
}

function hamilton([w, x, y, z], [a, b, c, d]) {
  return [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a];
}

/** Unit quaternion of a rotation matrix, row by row, by the largest of four candidates. */
function quaternion(r00, r01, r02, r10, r11, r12, r20, r21, r22) {
  const ww = 1 + r00 + r11 + r22, xx = 1 + r00 - r11 - r22, yy = 1 - r00 + r11 - r22, zz = 1 - r00 - r11 + r22;
  let w, x, y, z;
  if (ww >= xx && ww >= yy && ww >= zz) { w = ww; x = r21 - r12; y = r02 - r20; z = r10 - r01; }
  else if (xx >= yy && xx >= zz) { w = r21 - r12; x = xx; y = r10 + r01; z = r02 + r20; }
  else if (yy >= zz) { w = r02 - r20; x = r10 + r01; y = yy; z = r21 + r12; }
  else { w = r10 - r01; x = r02 + r20; y = r21 + r12; z = zz; }
  const unit = 1 / Math.sqrt(w * w + x * x + y * y + z * z);
  return [w * unit, x * unit, y * unit, z * unit];
}

function product(a, b) {
  return a.map(row => b[0].map((_, k) => row.reduce((sum, part, j) => sum + part * b[j][k], 0)));
}

function turned(matrix, vector) {
  return matrix.map(row => row.reduce((sum, part, k) => sum + part * vector[k], 0));
}

/** Roll about z first, then pitch about x, then yaw about y; degrees, head frame. */
function euler(yaw, pitch, roll) {
  const [y, p, r] = [yaw, pitch, roll].map(angle => angle * Math.PI / 180);
  const about = {
    y: [[Math.cos(y), 0, Math.sin(y)], [0, 1, 0], [-Math.sin(y), 0, Math.cos(y)]],
    x: [[1, 0, 0], [0, Math.cos(p), -Math.sin(p)], [0, Math.sin(p), Math.cos(p)]],
    z: [[Math.cos(r), -Math.sin(r), 0], [Math.sin(r), Math.cos(r), 0], [0, 0, 1]],
  };
  return product(product(about.y, about.x), about.z);
}
