/** Streamed text is followed to its end, unless the reader has scrolled away from it. */

const NEAR_PX = 40;

/**
 * Keep the end of `box` in view while it grows, and with it `below`, which it pushes down.
 * @param {HTMLElement} box scrolls by itself
 * @param {HTMLElement} below the element that comes last in the panel
 * @returns {() => void} makes it follow again, wherever the reader is.
 */
export function followEnd(box, below) {
  let isFollowing = true;
  const isPageFollowing = followPage(below);
  box.addEventListener("scroll", () => (isFollowing = distanceToEnd(box) < NEAR_PX));
  const follow = () => {
    if (!isFollowing) return;
    box.scrollTop = box.scrollHeight;
    if (isPageFollowing.value) below.scrollIntoView({ block: "nearest" });
  };
  // Observers run before the next frame, so the growth itself never looks like scrolling.
  new MutationObserver(follow).observe(box, { childList: true, characterData: true, subtree: true });
  return () => {
    isFollowing = isPageFollowing.value = true; // whoever asks wants to read the answer
    follow();
  };
}

/**
 * @param {HTMLElement} below
 * @returns {{value: boolean}} whether the page follows: until it is scrolled up so far that `below`
 *   is out of view. Following itself only ever scrolls down.
 */
function followPage(below) {
  const state = { value: false };
  let lastY = scrollY;
  addEventListener("scroll", () => {
    if (isInView(below)) state.value = true;
    else if (scrollY < lastY) state.value = false;
    lastY = scrollY;
  });
  return state;
}

/** @param {HTMLElement} element */
function isInView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top < innerHeight && bottom > 0;
}

/** @param {HTMLElement} box */
const distanceToEnd = (box) => box.scrollHeight - box.clientHeight - box.scrollTop;
