/** Ticks below the beats on the picture of a clip. Does not touch the document. */

const HEIGHT_PX = 8;
const MIN_GAP_PX = 3; // where ticks are closer, none is drawn; zooming in shows them

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} beatsS in order
 * @param {import("./span.js").Span} view
 * @param {{width: number, height: number, color: string}} picture
 */
export function drawBeats(context, beatsS, { startS, endS }, { width, height, color }) {
  const shown = beatsS.filter((timeS) => timeS >= startS && timeS <= endS);
  if (shown.length * MIN_GAP_PX > width) return;
  context.fillStyle = color;
  for (const timeS of shown) {
    const x = ((timeS - startS) / (endS - startS || 1)) * width;
    context.fillRect(x - 0.5, height - HEIGHT_PX, 1, HEIGHT_PX);
  }
}
