/** Pictures that need the token: fetched once, and kept as long as the page is open. */

const MOST = 240;
/** @type {Map<string, Promise<string>>} addresses of blobs by path and version */
const kept = new Map();

/**
 * @param {import("../api.js").Api} api @param {string} path @param {string} [version] of what it shows
 * @returns {Promise<string>} an address for `src`
 */
export function pictureAddress(api, path, version = "") {
  const key = `${path} ${version}`;
  const known = kept.get(key);
  if (known) return known;
  const coming = api.picture(path).then((blob) => URL.createObjectURL(blob));
  kept.set(key, coming);
  coming.catch(() => kept.delete(key));
  if (kept.size > MOST) {
    const [oldest, address] = /** @type {[string, Promise<string>]} */ (kept.entries().next().value);
    kept.delete(oldest);
    void address.then((blob) => URL.revokeObjectURL(blob), () => {});
  }
  return coming;
}

/**
 * @param {import("../api.js").Api} api @param {HTMLImageElement} image @param {string} path @param {string} [version]
 * @returns {Promise<void>} once it is shown; where it cannot be had the image stays as it is
 */
export async function showPicture(api, image, path, version) {
  image.dataset.path = `${path} ${version}`;
  try {
    const address = await pictureAddress(api, path, version);
    if (image.dataset.path !== `${path} ${version}`) return; // another one was asked for meanwhile
    image.src = address;
    image.classList.add("there");
  } catch {
    image.classList.remove("there");
  }
}
