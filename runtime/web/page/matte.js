/** Drawing a two-up matte (left: the avatar on black, right: its alpha as grey) with real transparency, by WebGL. */

const VERTEX = `
attribute vec2 corner;
varying vec2 place;
void main() {
  place = vec2(corner.x * 0.5 + 0.5, 0.5 - corner.y * 0.5);
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

// Half a texel next to the seam in the middle is left out, or the halves would bleed into each other. Compression leaves noise
// where alpha was 0 or 1, so the ends are pulled in; colour on black is colour times alpha already, and can never exceed alpha.
const FRAGMENT = `
precision mediump float;
uniform sampler2D picture;
uniform float inset;
varying vec2 place;
void main() {
  float x = clamp(place.x * 0.5, inset, 0.5 - inset);
  float alpha = clamp((texture2D(picture, vec2(x + 0.5, place.y)).g - 0.03) / 0.94, 0.0, 1.0);
  vec3 colour = texture2D(picture, vec2(x, place.y)).rgb;
  gl_FragColor = vec4(min(colour, vec3(alpha)), alpha);
}`;

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {((video: HTMLVideoElement) => boolean) | null} draws the video's present picture and says whether it could (it cannot
 *   while the graphics driver restarts); null where the browser has no WebGL
 */
export function createMattePainter(canvas) {
  const gl = canvas.getContext("webgl", { alpha: true, premultipliedAlpha: true, antialias: false, depth: false });
  if (!gl) return null;
  let inset = prepare(gl);
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // or it would never be restored
  canvas.addEventListener("webglcontextrestored", () => {
    inset = prepare(gl);
  });
  return (video) => {
    if (gl.isContextLost()) return false;
    const [width, height] = [video.videoWidth / 2, video.videoHeight];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.uniform1f(inset, 0.5 / video.videoWidth);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, video);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    return true;
  };
}

/** @param {WebGLRenderingContext} gl @returns {WebGLUniformLocation | null} of `inset` */
function prepare(gl) {
  const program = /** @type {WebGLProgram} */ (gl.createProgram());
  for (const [kind, source] of /** @type {const} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
  const corner = gl.getAttribLocation(program, "corner");
  gl.enableVertexAttribArray(corner);
  gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  for (const zoom of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, zoom, gl.LINEAR);
  return gl.getUniformLocation(program, "inset");
}
