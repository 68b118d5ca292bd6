/**
 * The page's elements, found by id and checked, and new ones that hold text alone.
 */

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) {
    throw new Error(`The page has no ${type.name} #${id}.`);
  }
  return found;
}

/**
 * @template {Element} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function part(parent, selector, type) {
  const found = parent.querySelector(selector);
  if (!(found instanceof type)) {
    throw new Error(`There is no ${type.name} ${selector}.`);
  }
  return found;
}

/**
 * @param {string} tag
 * @param {string} text
 * @returns {HTMLElement}
 */
export function textElement(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/**
 * @param {string} value
 * @param {string} text
 */
export function option(value, text) {
  return new Option(text, value);
}
