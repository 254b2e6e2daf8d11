// Drawings come as data and become elements here: nothing is ever parsed as markup.

/**
 * The shapes of a 32 × 32 drawing: each a name and its attributes.
 * @typedef {Array<[string, Record<string, string>]>} Drawing
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * A drawing as an element. It says nothing by itself: the words beside it do.
 * @param {Drawing | undefined} shapes
 * @param {string} [className]
 */
function drawn(shapes, className) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  if (className) svg.setAttribute("class", className);
  for (const [name, attributes] of shapes || []) {
    const shape = document.createElementNS(SVG, name);
    for (const key of Object.keys(attributes)) shape.setAttribute(key, attributes[key]);
    svg.appendChild(shape);
  }
  return svg;
}
