/** The keyboard: a key does what the session has bound to it, or one of the page's own things. */

/**
 * All names that a key press may be bound under, most exact first: "ctrl+alt+1", "?", "space".
 *
 * @param {KeyboardEvent} event @returns {string[]}
 */
export function namesOf(event) {
  const key = event.key === " " ? "space" : event.key.toLowerCase();
  const physical = /^(?:Key|Digit)(.)$/.exec(event.code)?.[1]?.toLowerCase(); // with Alt or Shift, `key` may be another sign
  const held = [event.ctrlKey && "ctrl", event.altKey && "alt", event.metaKey && "cmd"].filter(Boolean);
  const names = [];
  for (const name of new Set([key, physical])) {
    if (!name) continue;
    if (event.shiftKey) names.push([...held, "shift", name].join("+"));
    if (!event.shiftKey || (name === key && !/^[a-z0-9]$|^.{2,}$/.test(name))) names.push([...held, name].join("+"));
  }
  return names;
}

/** A binding as `namesOf` would say it. @param {string} binding such as "<ctrl>+<alt>+1" */
export function normalised(binding) {
  const parts = binding.trim().toLowerCase().replace(/[<>]/g, "").split(/\+(?=.)/);
  const key = parts.pop() ?? "";
  const order = ["ctrl", "alt", "cmd", "shift"];
  return [...parts.sort((one, other) => order.indexOf(one) - order.indexOf(other)), key].join("+");
}

/**
 * @param {import("./store.js").Store} store
 * @param {(actionText: string) => void} onAction told what the session binds to a key
 * @param {Record<string, () => void>} pageKeys what the page binds; the session's bindings come first
 * @param {() => boolean} isAway whether another view than the stage is shown: keys do nothing there
 */
export function mountKeys(store, onAction, pageKeys, isAway) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.defaultPrevented || isAway() || isTyping(event.target) || isForControl(event)) return;
    const bindings = Object.entries(store.get().state?.keys ?? {});
    for (const name of namesOf(event)) {
      const bound = bindings.find(([binding]) => normalised(binding) === name);
      const own = pageKeys[name];
      if (!bound && !own) continue;
      event.preventDefault();
      if (bound) onAction(bound[1]);
      else own?.();
      return;
    }
  });
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (target instanceof HTMLInputElement) return !["range", "radio", "checkbox", "button", "color"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** Keys that a focused control answers to itself. @param {KeyboardEvent} event */
function isForControl(event) {
  const onControl = event.target instanceof Element && event.target.matches("button, input, a");
  return onControl && /^(?: |Enter|Tab|Home|End|PageUp|PageDown|Arrow.*)$/.test(event.key);
}
