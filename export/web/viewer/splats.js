// Draws posed Gaussians with WebGL 2, by the rules of gsplat: dilation 0.3, alpha below 1/255 skipped, sorted by depth every frame.

const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec2 corner;
layout(location = 1) in vec3 mean;
layout(location = 2) in vec3 cov0;  // xx xy xz
layout(location = 3) in vec3 cov1;  // yy yz zz
layout(location = 4) in vec4 rgba;
uniform vec2 size; uniform vec4 lens;  // fx fy cx cy
out vec2 at; out vec3 conic; out vec4 color;
void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  float z = mean.z;
  if (z < 0.01 || rgba.a < 1.0 / 255.0) return;
  vec2 slope = clamp(mean.xy / z, -1.3 * size / lens.xy, 1.3 * size / lens.xy);
  vec3 jx = vec3(lens.x / z, 0.0, -lens.x * slope.x / z), jy = vec3(0.0, lens.y / z, -lens.y * slope.y / z);
  mat3 cov = mat3(cov0.x, cov0.y, cov0.z, cov0.y, cov1.x, cov1.y, cov0.z, cov1.y, cov1.z);
  float a = dot(jx, cov * jx) + 0.3, b = dot(jx, cov * jy), c = dot(jy, cov * jy) + 0.3;
  float det = a * c - b * b;
  if (det <= 0.0) return;
  conic = vec3(c, -b, a) / det;
  float middle = 0.5 * (a + c), reach = sqrt(2.0 * log(255.0 * rgba.a));
  float radius = ceil(reach * sqrt(middle + sqrt(max(0.01, middle * middle - det))));
  at = corner * radius;
  color = rgba;
  vec2 pixel = lens.xy * mean.xy / z + lens.zw + at;
  gl_Position = vec4(2.0 * pixel.x / size.x - 1.0, 1.0 - 2.0 * pixel.y / size.y, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 at; in vec3 conic; in vec4 color;
out vec4 result;
void main() {
  float power = -0.5 * (conic.x * at.x * at.x + conic.z * at.y * at.y) - conic.y * at.x * at.y;
  float alpha = min(0.999, color.a * exp(power));
  if (power > 0.0 || alpha < 1.0 / 255.0) discard;
  result = vec4(color.rgb * alpha, alpha);
}`;

const FLOATS = 13;  // of one instance: mean, covariance, colour and opacity

export class Splats {
  constructor(canvas, avatar) {
    const gl = this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("this browser has no WebGL 2");
    this.canvas = canvas;
    this.show(avatar);
    this.program = linked(gl);
    this.places = { size: gl.getUniformLocation(this.program, "size"), lens: gl.getUniformLocation(this.program, "lens") };
    this.counts = new Uint32Array(65537);
    gl.bindVertexArray(gl.createVertexArray());
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    [[1, 3, 0], [2, 3, 3], [3, 3, 6], [4, 4, 9]].forEach(([place, width, start]) => {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, width, gl.FLOAT, false, 4 * FLOATS, 4 * start);
      gl.vertexAttribDivisor(place, 1);
    });
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Draw another avatar from here on. */
  show(avatar) {
    this.avatar = avatar;
    this.rows = new Float32Array(FLOATS * avatar.count);
    this.order = new Uint32Array(avatar.count);
    this.keys = new Uint16Array(avatar.count);
  }

  /** Draw the avatar as it is posed; camera: { width, height, fx, fy, cx, cy } in pixels; background: sRGB in [0, 1]. */
  draw(camera, background) {
    const { gl, canvas } = this, scale = Math.min(canvas.width / camera.width, canvas.height / camera.height);
    const left = (canvas.width - scale * camera.width) / 2, top = (canvas.height - scale * camera.height) / 2;
    const shown = this.#fill();
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.uniform2f(this.places.size, canvas.width, canvas.height);
    gl.uniform4f(this.places.lens, scale * camera.fx, scale * camera.fy, scale * camera.cx + left, scale * camera.cy + top);
    gl.bufferData(gl.ARRAY_BUFFER, this.rows.subarray(0, FLOATS * shown), gl.DYNAMIC_DRAW);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, shown);
  }

  /** Put the Gaussians that can be seen into rows, the farthest first. Returns how many. */
  #fill() {
    const { means, quats, scales, opacities, shades } = this.avatar, { order, keys, counts, rows } = this;
    let shown = 0, near = Infinity, far = -Infinity;
    for (let i = 0; i < opacities.length; i++) {
      if (opacities[i] < 1 / 255) continue;
      order[shown++] = i;
      near = Math.min(near, means[3 * i + 2]); far = Math.max(far, means[3 * i + 2]);
    }
    counts.fill(0);
    const step = 65535 / Math.max(far - near, 1e-6);  // micrometres: lashes must not change places with lids
    for (let n = 0; n < shown; n++) counts[(keys[n] = Math.floor((far - means[3 * order[n] + 2]) * step)) + 1]++;
    for (let k = 0; k < 65536; k++) counts[k + 1] += counts[k];
    for (let n = 0; n < shown; n++) {
      const i = order[n], at = FLOATS * counts[keys[n]]++;
      rows[at] = means[3 * i]; rows[at + 1] = means[3 * i + 1]; rows[at + 2] = means[3 * i + 2];
      covariance(quats, scales, i, rows, at + 3);
      rows[at + 9] = shades[4 * i]; rows[at + 10] = shades[4 * i + 1]; rows[at + 11] = shades[4 * i + 2];
      rows[at + 12] = opacities[i];
    }
    return shown;
  }
}

/** R diag(s)^2 R^T of Gaussian i as xx xy xz yy yz zz. */
function covariance(quats, scales, i, out, at) {
  let w = quats[4 * i], x = quats[4 * i + 1], y = quats[4 * i + 2], z = quats[4 * i + 3];
  const unit = 1 / Math.sqrt(w * w + x * x + y * y + z * z);
  w *= unit; x *= unit; y *= unit; z *= unit;
  const s = scales[3 * i], t = scales[3 * i + 1], u = scales[3 * i + 2];
  const a = s * (1 - 2 * (y * y + z * z)), b = t * 2 * (x * y - w * z), c = u * 2 * (x * z + w * y);
  const d = s * 2 * (x * y + w * z), e = t * (1 - 2 * (x * x + z * z)), f = u * 2 * (y * z - w * x);
  const g = s * 2 * (x * z - w * y), h = t * 2 * (y * z + w * x), k = u * (1 - 2 * (x * x + y * y));
  out[at] = a * a + b * b + c * c; out[at + 1] = a * d + b * e + c * f; out[at + 2] = a * g + b * h + c * k;
  out[at + 3] = d * d + e * e + f * f; out[at + 4] = d * g + e * h + f * k; out[at + 5] = g * g + h * h + k * k;
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}
