// What every viewer's page offers: it draws one file, and measures how long frames take while the camera goes round the head.

export const query = new URLSearchParams(location.search);
export const size = Number(query.get("size") ?? 256); // pixels
const SETTLE = 4000; // ms for which frames are drawn until a viewer's worker has sorted its splats

/** camera: the viewer's; place: its position from the front; draw: renders a frame at once; gl: its context. */
export async function offer({ camera, place, draw, gl }) {
  const pixel = new Uint8Array(4);
  const frameAt = async (degrees) => {
    await new Promise(requestAnimationFrame); // the workers' answers come in between, and what is drawn now is shown
    const turn = degrees * Math.PI / 180;
    camera.position.set(place.z * Math.sin(turn), 0, place.z * Math.cos(turn));
    camera.lookAt(0, 0, 0);
    const start = performance.now();
    draw();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel); // waits until the frame is drawn
    return performance.now() - start;
  };
  const settle = async () => {
    const end = performance.now() + SETTLE;
    for (let frames = 0; frames < 5 || performance.now() < end; frames += 1) await frameAt(0);
  };
  /** ms of each frame along a path of angles, as many as there is time for; then the view from the front stays. */
  window.measure = async (path, seconds) => {
    const times = [];
    const start = performance.now();
    for (const degrees of path) {
      times.push(await frameAt(degrees));
      if (performance.now() - start > 1000 * seconds) break;
    }
    const wall = performance.now() - start;
    await settle();
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    return { times, wall, graphics: gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER) };
  };
  await settle();
  document.body.dataset.ready = "yes";
}
