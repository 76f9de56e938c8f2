// Elements made and kept in step with data. Text is only ever set as text: what a model says can make no element.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** An element with properties (`class`, `data-…` and `aria-…` as attributes) and children: elements, texts, and nothings. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class" || name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Sets a text, where it is another: what has not changed keeps its selection, and is not announced again. */
export function setText(at, text) {
  if (at.textContent !== text) at.textContent = text;
}

/** Shows or hides. */
export function show(at, shown) {
  if (at.hidden === shown) at.hidden = !shown;
}

/**
 * Makes the children of `parent` those of `items`, in their order. A child is kept, with its focus, while its item has the same
 * key and `drawn` text; it is made anew by `make` otherwise. Several items may have one key: the first of them stays the first.
 */
export function keep(parent, items, key, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const times = new Map();
  let at = parent.firstElementChild;
  for (const item of items) {
    const nth = (times.get(key(item)) ?? 0) + 1;
    times.set(key(item), nth);
    const name = `${nth} ${key(item)}`;
    const drawn = JSON.stringify(item);
    let child = old.get(name);
    old.delete(name);
    if (child?.dataset.drawn !== drawn) {
      const fresh = make(item);
      fresh.dataset.key = name;
      fresh.dataset.drawn = drawn;
      carryOver(child, fresh);
      if (child === at && child) at = fresh;
      child?.replaceWith(fresh);
      child = fresh;
    }
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  old.forEach((child) => child.remove());
}

/**
 * What a person opened stays open, and what has the focus keeps it, by the `data-part` that both have; where it cannot be pressed
 * any more, what is beside it takes the focus.
 */
function carryOver(old, fresh) {
  if (!old) return;
  for (const details of old.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`details[data-part="${details.dataset.part}"]`);
    if (same) same.open = true;
  }
  const part = old.contains(document.activeElement) && document.activeElement.dataset.part;
  if (!part) return;
  const same = fresh.querySelector(`[data-part="${part}"]`);
  queueMicrotask(() => (same?.disabled ? fresh.querySelector("button:not(:disabled)") : same)?.focus());
}
