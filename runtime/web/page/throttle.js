/** Doing something often, but not too often. */

/**
 * @template Value
 * @param {(value: Value) => void} act @param {number} milliseconds between two calls at least
 * @returns {(value: Value) => void} acts at once if it may, else later with the newest value: the last one is never lost
 */
export function throttled(act, milliseconds) {
  let last = -Infinity;
  let timer = 0;
  return (value) => {
    clearTimeout(timer);
    const run = () => {
      last = performance.now();
      act(value);
    };
    const wait = last + milliseconds - performance.now();
    if (wait <= 0) run();
    else timer = setTimeout(run, wait);
  };
}
